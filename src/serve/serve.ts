/** Runs the daemon under its signals until it is told to stop. Called by the command line. */
import { once } from "node:events";
import type { Logger } from "pino";
import { openLog } from "../runtime/log.js";
import { Daemon } from "./daemon.js";
import { notifySystemd } from "./notify.js";

/**
 * Serves until `stop` is aborted; SIGHUP reloads.
 *
 * @throws ConfigError; Error when something cannot be listened on
 */
export async function serveUntil(file: string, logger: Logger, stop: AbortSignal): Promise<void> {
  const log = openLog(logger).write;
  let isLoaded = false;
  // One after the other: each is a process of its own, and systemd must not hear of an old state last.
  let told = Promise.resolve();
  const tell = (...assignments: string[]): Promise<void> => {
    told = told.then(() => notifySystemd(assignments, log));
    return told;
  };
  // Until there is a daemon, SIGHUP would end the process.
  let reload: () => void = () => {};
  const onHangup = () => reload();
  process.on("SIGHUP", onHangup);
  // Also a daemon without listeners waits for its signals, which keep no process alive.
  const alive = setInterval(() => {}, 2 ** 30);
  try {
    const daemon = await Daemon.start(file, logger);
    isLoaded = true;
    reload = () => {
      void (async () => {
        await tell("RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
        await daemon.reload();
        if (!stop.aborted) {
          await tell("READY=1");
        }
      })();
    };
    await tell("READY=1");
    log("info", "serve-ready", undefined, "ready", { file });
    if (!stop.aborted) {
      await once(stop, "abort");
    }
    log("info", "serve-draining", undefined, `closing down; work in hand has ${daemon.drainMs} ms`);
    await tell("STOPPING=1");
    await daemon.close();
    log("info", "serve-stopped", undefined, "stopped");
  } finally {
    clearInterval(alive);
    if (isLoaded) {
      process.off("SIGHUP", onHangup);
    }
  }
}
