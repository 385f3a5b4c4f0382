/** A contender's own process: does one job and tells what came of it. */
import { serve } from "./child.js";
import type { ContenderName, IsolationWindow, Job, Measurement, OperatorWindow, RelayJob } from "./job.js";

serve(async (job: Job): Promise<Measurement | IsolationWindow[] | OperatorWindow[]> => {
  // Each contender is loaded by itself, so that none carries the others' memory.
  switch (job.kind) {
    case "thread":
      return await (await import("./contenders/threads.js")).thread(job);
    case "socketmap":
      return await (await import("./contenders/socketmap.js")).socketmap(job);
    case "relay":
      return await (await loadRelay(job.contender)).relay(job);
    case "probe":
      if (job.contender === "limit") {
        return await (await import("./contenders/limit.js")).probe(job);
      }
      return await (await import("./contenders/relaypost.js")).probe(job);
    case "stream":
      if (job.contender === "limit") {
        return await (await import("./contenders/limit.js")).stream(job);
      }
      return await (await import("./contenders/relaypost.js")).stream(job);
    case "start":
      return await (await import("./contenders/start.js")).start(job);
    case "open":
      return await (await import("./contenders/relaypost.js")).open(job);
    case "idle":
      return await (await import("./contenders/idle.js")).idle(job);
    case "isolation":
      return await (await import("./contenders/isolation.js")).isolation(job);
    case "operator":
      return await (await import("./contenders/operator.js")).operator(job);
    default:
      return await lookUp(job);
  }
});

function loadRelay(contender: ContenderName): Promise<{ relay(job: RelayJob): Promise<Measurement> }> {
  switch (contender) {
    case "relaypost":
      return import("./contenders/relaypost.js");
    case "nodemailer":
      return import("./contenders/nodemailer.js");
    case "smtp-source":
      return import("./contenders/smtp-source.js");
    case "limit":
      return import("./contenders/limit.js");
    default:
      return import("./contenders/peer.js");
  }
}

async function lookUp(job: Extract<Job, { kind: "cached" | "auth" | "hosts" }>): Promise<Measurement> {
  const relaypost = await import("./contenders/relaypost.js");
  if (job.kind === "hosts") {
    return await relaypost.hosts(job);
  }
  return job.kind === "auth" ? await relaypost.auth(job) : await relaypost.cached(job);
}
