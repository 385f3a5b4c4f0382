/** The relaypost command beside a daemon of the tests, and the listener that it asks. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const CLI = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

/** For `WardDaemon.open()`: FOLDER is the ward's. */
export const CONTROL = `
[serve.control]
protocol = "control"
listen = "unix:FOLDER/control"
`;

/** How a command ended, and what it wrote. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
}

export async function relaypost(...words: string[]): Promise<Ran> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [CLI, ...words]);
    return { code: 0, stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, stdout };
  }
}
