/**
 * Reports the daemon's state to systemd (sd_notify(3)). That needs datagrams to a unix socket, which Node.js cannot send, so systemd's
 * own `systemd-notify` is called. Used by daemon.ts.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { WriteLog } from "../runtime/log.js";

const TIMEOUT_MS = 5_000;

/** Sends the assignments, such as `READY=1`, when systemd waits for them. Never rejects. */
export async function notifySystemd(assignments: readonly string[], log: WriteLog): Promise<void> {
  const socket = process.env.NOTIFY_SOCKET;
  if (socket === undefined || socket === "") {
    return;
  }
  // NotifyAccess=all is needed: systemd-notify speaks for its parent, but is another process.
  const child = spawn("systemd-notify", [`--pid=${process.pid}`, ...assignments], {
    stdio: "ignore",
    timeout: TIMEOUT_MS,
    env: { NOTIFY_SOCKET: socket, PATH: process.env.PATH },
  });
  try {
    const [code] = (await once(child, "exit")) as [number | null];
    if (code !== 0) {
      throw new Error(`it ended with ${code}`);
    }
  } catch (error) {
    const message = `systemd was not told ${assignments.join(" ")}: systemd-notify failed`;
    log("warn", "serve-notify-failed", undefined, message, { cause: (error as Error).message });
  }
}
