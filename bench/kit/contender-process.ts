/** A contender's own process: does one job and tells what came of it. */
import { serve } from "./child.js";
import type { IsolationWindow, Job, Measurement } from "./job.js";

serve(async (job: Job): Promise<Measurement | IsolationWindow[]> => {
  // Each contender is loaded by itself, so that none carries the others' memory.
  switch (job.kind) {
    case "thread":
      return await (await import("./contenders/threads.js")).thread(job);
    case "socketmap":
      return await (await import("./contenders/socketmap.js")).socketmap(job);
    case "relay":
      if (job.contender === "nodemailer") {
        return await (await import("./contenders/nodemailer.js")).relay(job);
      }
      if (job.contender === "smtp-source") {
        return await (await import("./contenders/smtp-source.js")).relay(job);
      }
      if (job.contender === "limit") {
        return await (await import("./contenders/limit.js")).relay(job);
      }
      return await (await import("./contenders/relaypost.js")).relay(job);
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
    case "isolation":
      return await (await import("./contenders/isolation.js")).isolation(job);
    default:
      return await lookUp(job);
  }
});

async function lookUp(job: Extract<Job, { kind: "cached" | "auth" | "hosts" }>): Promise<Measurement> {
  const relaypost = await import("./contenders/relaypost.js");
  if (job.kind === "hosts") {
    return await relaypost.hosts(job);
  }
  return job.kind === "auth" ? await relaypost.auth(job) : await relaypost.cached(job);
}
