/** Reads a secret for `lookup … auth`: hidden from the screen, or one line of standard input. Never from argv, where every user of the machine sees it. */
import type { ReadStream } from "node:tty";
import { RelaypostError } from "../errors.js";
import { UsageError } from "./exit-codes.js";

const MOST_OCTETS = 65_536;

/** Asks on a terminal, otherwise takes the first line of the input. */
export async function readSecret(
  question: string,
  signal: AbortSignal,
  input: NodeJS.ReadStream = process.stdin,
): Promise<string> {
  const interrupted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => {
      // Nothing else would end a read that waits for a terminal or a pipe.
      input.destroy();
      reject(new RelaypostError("ABORTED", "interrupted"));
    });
  });
  return Promise.race([input.isTTY ? askHidden(question, input as ReadStream) : readLine(input), interrupted]);
}

async function readLine(input: NodeJS.ReadStream): Promise<string> {
  const parts: Buffer[] = [];
  let octets = 0;
  for await (const part of input as AsyncIterable<Buffer>) {
    const end = part.indexOf(10);
    parts.push(end === -1 ? part : part.subarray(0, end));
    octets += part.length;
    if (end !== -1) {
      break;
    }
    if (octets > MOST_OCTETS) {
      throw new UsageError("the secret on standard input is too long");
    }
  }
  const line = Buffer.concat(parts).toString("utf8").replace(/\r$/, "");
  if (line === "") {
    throw new UsageError("no secret on standard input: pipe it in, as one line");
  }
  return line;
}

function askHidden(question: string, input: ReadStream): Promise<string> {
  input.setRawMode(true);
  process.stderr.write(question);
  input.setEncoding("utf8");
  let typed = "";
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      input.off("data", take);
      input.setRawMode(false);
      input.pause();
      process.stderr.write("\n");
      settle();
    };
    const take = (text: string) => {
      for (const key of text) {
        if (key === "\r" || key === "\n") {
          return finish(() => resolve(typed));
        }
        // Ctrl-C comes as a key here: a raw terminal sends no signal.
        if (key === "\u0003") {
          return finish(() => reject(new RelaypostError("ABORTED", "interrupted")));
        }
        if (key === "\u0004") {
          return finish(() => reject(new UsageError("no secret was given")));
        }
        if (key === "\u007f" || key === "\b") {
          typed = Array.from(typed).slice(0, -1).join("");
        } else if (key === "\u0015") {
          typed = "";
        } else {
          typed += key;
        }
      }
    };
    input.on("data", take);
    input.resume();
  });
}
