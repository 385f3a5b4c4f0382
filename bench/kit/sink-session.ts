/** What the own sink says: bytes in, the replies of one read out. No socket, so that it can be tested at every split. */

const CAPABILITIES = "CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN UNAUTHENTICATE";

/** What a session is greeted with. */
export const IMAP_GREETING = `* OK [${CAPABILITIES}] sink\r\n`;
export const MAIL_GREETING = "220 sink ESMTP\r\n";

const LF = 10;
const END_OF_DATA = Buffer.from("\r\n.\r\n");
const EHLO = "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 0\r\n250 ENHANCEDSTATUSCODES\r\n";

/** One SMTP or LMTP session: bytes in, the replies of one read out. */
export class MailSession {
  #line = "";
  /** The last octets of content, where the end of data may have begun. null: commands are read. */
  #tail: Buffer | null = null;
  #recipients = 0;

  constructor(private readonly isLmtp: boolean) {}

  receive(chunk: Buffer): string {
    let replies = "";
    let position = 0;
    while (position < chunk.length) {
      if (this.#tail !== null) {
        const end = this.#endOfData(chunk, position);
        if (end < 0) {
          return replies;
        }
        replies += "250 2.0.0 taken\r\n".repeat(this.isLmtp ? this.#recipients : 1);
        this.#recipients = 0;
        position = end;
        continue;
      }
      const newline = chunk.indexOf(LF, position);
      if (newline < 0) {
        this.#line += chunk.toString("latin1", position);
        return replies;
      }
      // Two letters tell every command; the rest of the line is only decoded when it came in parts.
      const verb =
        this.#line === ""
          ? chunk.toString("latin1", position, position + 2)
          : this.#line + chunk.toString("latin1", position, position + 2);
      replies += this.#reply(verb.slice(0, 2).toUpperCase());
      this.#line = "";
      position = newline + 1;
    }
    return replies;
  }

  #reply(verb: string): string {
    switch (verb) {
      case "RC":
        this.#recipients++;
        return "250 2.1.5 ok\r\n";
      case "MA":
      case "RS":
        this.#recipients = 0;
        return "250 2.1.0 ok\r\n";
      case "DA":
        this.#tail = Buffer.from("\r\n");
        return "354 go on\r\n";
      case "EH":
      case "LH":
        return EHLO;
      case "VR":
        return "250 2.0.0 <someone@sink.example>\r\n";
      case "QU":
        return "221 2.0.0 bye\r\n";
      default:
        return "250 2.0.0 ok\r\n";
    }
  }

  /** Where commands go on in the chunk; -1 when the content does not end in it. */
  #endOfData(chunk: Buffer, from: number): number {
    const tail = this.#tail!;
    const seam = Buffer.concat([tail, chunk.subarray(from, from + 4)]);
    const across = seam.indexOf(END_OF_DATA);
    const end = across >= 0 ? from + across + 5 - tail.length : chunk.indexOf(END_OF_DATA, from) + 5;
    if (across >= 0 || end > 4) {
      this.#tail = null;
      return end;
    }
    this.#tail = Buffer.from(chunk.length - from >= 4 ? chunk.subarray(-4) : seam.subarray(-4));
    return -1;
  }
}

/** One IMAP session that believes every password. */
export class ImapSession {
  #buffer = "";

  receive(chunk: Buffer): string {
    this.#buffer += chunk.toString("latin1");
    const lines = this.#buffer.split("\r\n");
    this.#buffer = lines.pop()!;
    return lines.map(replyToImap).join("");
  }
}

function replyToImap(line: string): string {
  const [tag, command = ""] = line.split(" ", 2);
  const untagged = /^capability$/i.test(command)
    ? `* ${CAPABILITIES}\r\n`
    : /^logout$/i.test(command)
      ? "* BYE\r\n"
      : "";
  return `${untagged}${tag} OK done\r\n`;
}
