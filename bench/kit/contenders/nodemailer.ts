/** nodemailer's pool, as its documentation sets one up for many messages. */
import { createTransport } from "nodemailer";
import type { Measurement, RelayJob } from "../job.js";
import { makeMessage } from "../message.js";
import { closedLoop } from "../stopwatch.js";

/** Messages, `callersEach` to a connection, so that the pool always has one waiting. */
export async function relay(job: RelayJob): Promise<Measurement> {
  const transport = createTransport({
    pool: true,
    host: "127.0.0.1",
    port: job.port,
    secure: job.isTls,
    ignoreTLS: true,
    tls: { rejectUnauthorized: false },
    maxConnections: job.connections,
    maxMessages: Number.POSITIVE_INFINITY,
    // An option of the connection that the types do not know.
    ...{ lmtp: job.protocol === "lmtp" },
  });
  const raw = makeMessage(job.sizeOctets);
  const envelope = { from: "a@sender.example", to: ["b@sink.example"] };
  const measurement = await closedLoop(job.connections * job.callersEach, job.seconds, () =>
    transport.sendMail({ envelope, raw }),
  );
  transport.close();
  return measurement;
}
