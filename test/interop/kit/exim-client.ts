/** Debian's Exim as a client: it hands every message to a smarthost of the test. Serves the interop tests. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { makeEximFolder, programOfExim } from "./exim.js";
import { packagedConfiguration } from "./packaged-exim.js";

/** Exim takes what it listens on itself for this machine. */
export const SMARTHOST = "127.0.0.2";
export const SENDER = "me@else.test";

export class EximClient {
  readonly #place = makeEximFolder();
  readonly #file: string;

  /** @param port of the smarthost */
  constructor(port: number) {
    const smarthost = { address: SMARTHOST, port };
    this.#file = packagedConfiguration(programOfExim(), this.#place.path, { type: "smarthost", smarthost });
  }

  /** Sends a message by Exim's command, which delivers it before it ends, and returns what Exim has logged of it. */
  async send(subject: string, ...addresses: readonly string[]): Promise<string> {
    const log = join(this.#place.path, "log", "mainlog");
    const words = ["-C", this.#file, "-odf", "-oi", "-f", SENDER, ...addresses];
    const child = spawn(programOfExim(), words, { stdio: ["pipe", "ignore", "ignore"] });
    child.stdin.end(`Subject: ${subject}\nFrom: ${SENDER}\n\n.dots\nand a last line\n`);
    await once(child, "exit");
    const lines = readFileSync(log, "utf8").split("\n");
    const own = lines.findLast((line) => line.includes(` <= ${SENDER} `))!.split(" ")[2]!;
    return lines.filter((line) => line.includes(own)).join("\n");
  }

  remove(): void {
    this.#place.remove();
  }
}
