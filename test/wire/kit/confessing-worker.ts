/** The library's own worker, which also tells what a look at its process would show. Started as a piscina task by the canary test. */
import { inspect } from "node:util";
import { BroadcastChannel, workerData } from "node:worker_threads";
import type { WorkerStart } from "../../../src/messages/control.js";
import startHostWorker from "../../../workers/host-worker.js";

/** Where it is asked, and where it answers. */
export const QUESTIONS = "relaypost-test-questions";
export const CONFESSIONS = "relaypost-test-confessions";

export default function start(options: WorkerStart): Promise<never> | undefined {
  const confessions = new BroadcastChannel(CONFESSIONS);
  const questions = new BroadcastChannel(QUESTIONS);
  questions.onmessage = () => {
    const { env, argv, argv0, execArgv, title } = process;
    confessions.postMessage(
      inspect({ env, argv, argv0, execArgv, title, workerData }, { depth: 20, showHidden: true }),
    );
  };
  return startHostWorker(options);
}
