/** `relaypost lookup`: one question to one host. */
import type { LookupAnswer, RequestOptions } from "../api.js";
import { type AddressLookupKind, LOOKUPS, type LookupKind } from "../lookup-kinds.js";
import type { RemoteHost } from "../remote-hosts.js";
import { hostWords, shown } from "../serve/wording.js";
import type { CommandContext } from "./command.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { settingsOf, withHost } from "./hosts.js";
import { readSecret } from "./secret.js";

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
  kind: LookupKind,
  value: string,
  options: LookupOptions,
): Promise<ExitCode> {
  const { output, signal } = context;
  // A host that is not there is said before a secret is typed for it.
  if (kind === "auth") {
    await settingsOf(file, id);
  }
  const ask =
    kind === "auth" ? await credentialQuestion(value, options.token === true, signal) : addressQuestion(kind, value);
  const limits = options.timeout === undefined ? { signal } : { signal, timeoutMs: options.timeout };
  const { answer, protocol } = await withHost(context, file, id, async (host) => ({
    answer: await ask(host, limits),
    protocol: host.protocol,
  }));
  if (options.json === true) {
    output.json({ kind, value, ...answer });
  } else {
    const doubt = answer.certainty === "accepts-all" ? ", as everybody is in this domain" : "";
    output.line(
      answer.found ? `found${doubt}` : answer.mailbox === undefined ? "not found" : `no mail now: ${answer.mailbox}`,
    );
    for (const each of answer.values) {
      output.line(`  ${shown(each)}`);
    }
    if (answer.reply !== undefined) {
      output.line(`  ${id} said: ${hostWords(answer.reply, protocol)}`);
    }
  }
  return answer.found ? EXIT.yes : EXIT.no;
}

type Question = (host: RemoteHost, limits: RequestOptions) => Promise<LookupAnswer>;

function addressQuestion(kind: AddressLookupKind, value: string): Question {
  return (host, limits) => host[LOOKUPS[kind].method](value, limits);
}

async function credentialQuestion(username: string, isToken: boolean, signal: AbortSignal): Promise<Question> {
  const secret = await readSecret(`${isToken ? "Access token" : "Secret"} of ${username}: `, signal);
  const credentials = isToken ? { username, accessToken: secret } : { username, secret };
  return (host, limits) => host.authenticate(credentials, limits);
}
