/** The daemon of a benchmark, in a process of its own; tells its unix socket. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { programLogger } from "../../src/runtime/loggers.js";
import { Daemon } from "../../src/serve/daemon.js";
import { serve } from "./child.js";

/** What it is started with. */
export interface DaemonOptions {
  /** Of the sink that it asks. */
  readonly port: number;
}

serve(async ({ port }: DaemonOptions): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), "relaypost-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "serve.toml");
  const socket = join(folder, "map");
  writeFileSync(
    file,
    `[remote.sink]
address = "127.0.0.1"
port = ${port}
protocol = "smtp"
lookup = true
tls = { implicit = false, starttls = "disable" }
limits = { errors = 1000000, requests = 1000000 }
[serve.map]
protocol = "socketmap"
listen = "unix:${socket}"
`,
  );
  await Daemon.start(file, programLogger("warn"));
  return socket;
});
