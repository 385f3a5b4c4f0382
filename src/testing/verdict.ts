/** What the SMTP and LMTP dialogue is about to answer: the seam between mail-dialogue.ts, mail-login.ts and mail-session.ts. */

/** What follows a reply. */
export type Next = "command" | "data" | "tls" | "sasl" | "quit";

/** An answer that is about to be given. */
export interface Verdict {
  /** What an override's `on` names. */
  readonly stage: string;
  /** What an override's `match` looks at, where it is not the line. */
  readonly subject?: string;
  readonly replies: readonly string[];
  /** The client must wait for this reply (RFC 2920 3.1, RFC 3207, RFC 4954). */
  readonly endsGroup: boolean;
  /** Set where a login is decided. */
  readonly login?: { readonly mechanism: string; readonly username: string | undefined; readonly isAccepted: boolean };
  /** Takes the replies that were given instead of `replies`, if an override changed them; the code is the last one's. */
  commit?(code: number, given: readonly string[]): Next;
}

/** One reply that changes nothing. */
export function plainly(stage: string, reply: string, endsGroup = false): Verdict {
  return { stage, replies: [reply], endsGroup };
}

/** Lines to replies: `250-` goes on, `250 ` ends. */
export function wholeReplies(lines: readonly string[]): string[] {
  const replies: string[] = [];
  let open: string[] = [];
  for (const line of lines) {
    open.push(line);
    if (line[3] === "-") {
      continue;
    }
    replies.push(open.join("\n"));
    open = [];
  }
  return replies;
}

export function is2yz(code: number): boolean {
  return code >= 200 && code < 300;
}
