/** `relaypost lookup`: one question to one host. */
import type { LookupAnswer } from "../api.js";
import type { RemoteHost } from "../remote-hosts.js";
import type { CommandContext } from "./command.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { withHost } from "./hosts.js";
import { readSecret } from "./secret.js";
import { replyAsText, shown } from "./terminal.js";

/** The kinds of question, as they are typed. */
export type LookupKindName = "rcpt" | "vrfy" | "expn" | "auth";

/** Options of `relaypost lookup`. */
export interface LookupOptions {
  json?: boolean;
  /** The secret is an OAuth access token. */
  token?: boolean;
  /** In milliseconds. */
  timeout?: number;
}

/** Asks, and says what came back. */
export async function lookup(
  context: CommandContext,
  file: string,
  id: string,
  kind: LookupKindName,
  value: string,
  options: LookupOptions,
): Promise<ExitCode> {
  const { output, signal } = context;
  const answer = await withHost(context, file, id, (host) => ask(host, kind, value, options, signal));
  if (options.json === true) output.json({ kind, value, ...answer });
  else {
    output.line(answer.found ? "found" : "not found");
    for (const each of answer.values) output.line(`  ${shown(each)}`);
    if (answer.reply !== undefined) output.line(`  ${id} said: ${replyAsText(answer.reply)}`);
  }
  return answer.found ? EXIT.yes : EXIT.no;
}

async function ask(
  host: RemoteHost,
  kind: LookupKindName,
  value: string,
  options: LookupOptions,
  signal: AbortSignal,
): Promise<LookupAnswer> {
  const limits = options.timeout === undefined ? { signal } : { signal, timeoutMs: options.timeout };
  switch (kind) {
    case "rcpt":
      return host.verifyRecipient(value, limits);
    case "vrfy":
      return host.verify(value, limits);
    case "expn":
      return host.expand(value, limits);
    case "auth": {
      const secret = await readSecret(`${options.token === true ? "Access token" : "Secret"} of ${value}: `);
      return host.authenticate(
        options.token === true ? { username: value, accessToken: secret } : { username: value, secret },
        limits,
      );
    }
  }
}
