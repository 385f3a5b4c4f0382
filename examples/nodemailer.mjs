// nodemailer composes, relaypost delivers: one pool of LMTP connections, and a verdict for each recipient.
// Run it with: node examples/nodemailer.mjs (it starts the mail store that it delivers to)
import nodemailer from "nodemailer";
import { RemoteHosts } from "relaypost";
import { relaypostTransport } from "relaypost/nodemailer";
import { listenMail } from "relaypost/testing";

const store = await listenMail({ protocol: "lmtp", recipients: ["ann@example.org"] });
const remotes = await RemoteHosts.open({
  remote: {
    lmtp: {
      address: store.address,
      port: store.port,
      protocol: "lmtp",
      tls: { implicit: false, starttls: "disable" },
    },
  },
});

const transport = nodemailer.createTransport(relaypostTransport(remotes.host("lmtp"), { timeoutMs: 30_000 }));

const info = await transport.sendMail({
  from: "Gateway <gateway@example.org>",
  to: ["ann@example.org", "nobody@example.org"],
  subject: "Two recipients, two verdicts",
  text: "Hello.",
  attachments: [{ filename: "this.mjs", path: import.meta.filename }],
});
console.log("accepted", info.accepted.join(", "));
for (const { recipient, responseCode, permanent } of info.rejectedErrors ?? []) {
  console.log("rejected", recipient, responseCode, permanent ? "for good" : "for now");
}

try {
  await transport.sendMail({
    from: "gateway@example.org",
    to: "nobody@example.org",
    subject: "Nobody",
    text: "Hello?",
  });
} catch (error) {
  console.log(
    "nobody",
    error.code,
    error.command,
    error.responseCode,
    error.uncertain ? "uncertain" : "certainly not sent",
  );
}

await remotes.close();
await store.close();
