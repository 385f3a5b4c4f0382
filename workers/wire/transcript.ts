/**
 * One connection's dialogue in lines, for people: as it was on the wire, but without credentials, and with contents told by their size.
 * It may begin in the middle, where nothing is shown before a command is seen: what goes on then might be a message or a password.
 * Fed by wire-trace.ts.
 */
import type { Protocol } from "../../src/api.js";

const COMMANDS =
  /^(?:EHLO|HELO|LHLO|MAIL|RCPT|DATA|BDAT|RSET|NOOP|QUIT|VRFY|EXPN|STARTTLS|XCLIENT|XFORWARD|HELP)\b|^\.$/i;
/** An IMAP command that shows no secret: a tag, a word, perhaps an argument. */
const IMAP_COMMANDS = /^r\w+ (?:CAPABILITY|STARTTLS|NOOP|LOGOUT|ID|UNAUTHENTICATE)\b/i;
const CREDENTIALS = "‹credentials›";
const MOST_CHARACTERS = 1_000;

/** `joining`: no command was seen yet. `authenticating`: until the reply that ends it. */
type State = "joining" | "open" | "authenticating";

export class Transcript {
  private state: State = "joining";
  private sentPart = "";
  private receivedPart = "";
  private contentOctets = 0;

  constructor(
    private readonly protocol: Protocol,
    private readonly show: (from: "relaypost" | "host", text: string) => void,
  ) {}

  sent(data: string | Uint8Array): void {
    if (typeof data !== "string" && this.protocol !== "imap") {
      this.contentOctets += data.length;
      return;
    }
    this.endContent();
    const lines = (this.sentPart + (typeof data === "string" ? data : Buffer.from(data).toString("latin1"))).split(
      "\r\n",
    );
    this.sentPart = lines.pop()!;
    for (const line of lines) {
      this.sentLine(line);
    }
  }

  received(octets: Uint8Array): void {
    this.endContent();
    const lines = (this.receivedPart + Buffer.from(octets).toString("utf8")).split("\n");
    // A peer that never ends its line may not fill our memory.
    this.receivedPart = lines.pop()!.slice(0, MOST_CHARACTERS);
    for (const line of lines) {
      this.receivedLine(line.endsWith("\r") ? line.slice(0, -1) : line);
    }
  }

  private endContent(): void {
    if (this.contentOctets === 0) {
      return;
    }
    if (this.state === "open") {
      this.show("relaypost", `‹${this.contentOctets} octets of content›`);
    }
    this.contentOctets = 0;
  }

  private sentLine(line: string): void {
    const isPlain = (this.protocol === "imap" ? IMAP_COMMANDS : COMMANDS).test(line);
    if (isPlain) {
      this.state = "open";
      this.show("relaypost", line.slice(0, MOST_CHARACTERS));
      return;
    }
    // `AUTH PLAIN`, `r12 AUTHENTICATE PLAIN`, `r12 LOGIN`: what it is, and no more. Whatever else is sent belongs to it.
    const words = /^(?:AUTH \S+|\S+ AUTHENTICATE \S+|\S+ LOGIN\b)/i.exec(line)?.[0];
    if (this.state === "joining" && words === undefined) {
      return;
    }
    this.state = "authenticating";
    this.show("relaypost", words === undefined ? CREDENTIALS : `${words} ${CREDENTIALS}`);
  }

  private receivedLine(line: string): void {
    switch (this.state) {
      case "joining":
        return;
      case "open":
        this.show("host", line.slice(0, MOST_CHARACTERS));
        return;
      case "authenticating":
        this.authReply(line);
    }
  }

  /** A peer may repeat what it was told: of its words only the codes are shown. */
  private authReply(line: string): void {
    if (this.protocol === "imap") {
      const status = /^(\S+) (OK|NO|BAD)\b/i.exec(line);
      this.show("host", status === null || status[1] === "*" ? "‹left out›" : `${status[0]} ‹left out›`);
      this.state = status === null || status[1] === "*" ? "authenticating" : "joining";
      return;
    }
    const code = /^\d{3}/.exec(line)?.[0];
    this.show("host", code === undefined ? "‹left out›" : `${code} ‹left out›`);
    if (code !== undefined && code !== "334" && line[3] !== "-") {
      this.state = "joining";
    }
  }
}
