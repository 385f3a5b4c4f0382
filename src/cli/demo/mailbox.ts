/** The example mailbox as the demo relays it: envelopes made up from the number of the message, contents from the files. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import type { Envelope } from "../../api.js";
import { FULL_MAILBOX, MAIL_DOMAIN, MAILBOXES, UNKNOWN_MAILBOX } from "./directory.js";

/** One message to relay. */
export interface Letter {
  readonly name: string;
  readonly envelope: Envelope & { to: string[] };
  readonly content: Buffer;
  /** SHA-256 of what a server must have received. */
  readonly digest: string;
}

/** All messages of a folder, by name. */
export async function readLetters(folder: URL): Promise<Letter[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".eml")).sort();
  return Promise.all(
    names.map(async (name, index) => {
      const content = await readFile(new URL(name, folder));
      const digest = createHash("sha256").update(asReceived(content)).digest("hex");
      return { name, envelope: envelopeOf(index, content), content, digest };
    }),
  );
}

/** One to four recipients; now and then one that is full or unknown. Bounces keep their null reverse-path. */
function envelopeOf(index: number, content: Buffer): Letter["envelope"] {
  const mailboxes = [MAILBOXES[index % MAILBOXES.length] ?? MAILBOXES[0]] as string[];
  if (index % 5 === 0) {
    mailboxes.push(MAILBOXES[(index + 3) % MAILBOXES.length] ?? MAILBOXES[1]);
  }
  if (index % 16 === 3) {
    mailboxes.push(UNKNOWN_MAILBOX);
  }
  if (index % 20 === 7) {
    mailboxes.push(FULL_MAILBOX);
  }
  const isBounce = content.subarray(0, 15).toString("latin1").startsWith("Return-Path: <>");
  return {
    from: isBounce ? "" : `sender${index % 7}@example.com`,
    to: mailboxes.map((mailbox) => `${mailbox}@${MAIL_DOMAIN}`),
  };
}

/** Every line ends with CRLF, the last one too (RFC 5321 2.3.8). Written apart from the product, to check it. */
function asReceived(content: Buffer): Buffer {
  const text = content.toString("latin1").replace(/\r\n|\r|\n/g, "\r\n");
  return Buffer.from(text.endsWith("\r\n") ? text : `${text}\r\n`, "latin1");
}
