/**
 * What the page does with a host for whoever has the token. Each action is a method of RemoteHost, which checks what it is given.
 * Called by index.ts, which has made sure that the page itself asks.
 */
import type { IncomingMessage } from "node:http";
import { RelaypostError } from "../errors.js";
import type { RemoteHost } from "../remote-hosts.js";
import type { PageSource } from "./live-streams.js";
import { isToken } from "./token.js";

/** An action is a name and a few words. */
const MOST_BODY_OCTETS = 4 * 1024;

/** What the page sends. */
interface ActionRequest {
  readonly action?: unknown;
  readonly id?: unknown;
  readonly requests?: "wait" | "refuse";
  readonly forMs?: number;
  readonly recipient?: string;
  readonly username?: string;
}

/** What it is answered. */
export interface ActionAnswer {
  readonly status: number;
  readonly body: { readonly done: string } | { readonly error: string };
}

/** What was done, in words. */
type Action = (host: RemoteHost, request: ActionRequest, by: string) => Promise<string>;

const ACTIONS: Readonly<Record<string, Action>> = {
  async pause(host, { requests, forMs }, by) {
    await host.pause({ by, ...given({ requests, forMs }) });
    return "It is paused.";
  },
  async resume(host, _request, by) {
    await host.resume({ by });
    return "It goes on.";
  },
  async reconnect(host, _request, by) {
    await host.reconnect({ by });
    return "Its connections are replaced.";
  },
  async forget(host, { recipient, username }, by) {
    const count = await host.forget({ by, ...given({ recipient, username }) });
    return count === 1 ? "One answer is forgotten." : `${count} answers are forgotten.`;
  },
};

/** Refused before a host is looked for. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The page's half that changes things. */
export class Actions {
  /** @param tokenDigest of the token that whoever acts must have @param place what stands in events behind the client's address */
  constructor(
    private readonly remotes: PageSource,
    private readonly tokenDigest: string,
    private readonly place: string,
  ) {}

  async answer(request: IncomingMessage): Promise<ActionAnswer> {
    try {
      return { status: 200, body: { done: await this.carryOut(request) } };
    } catch (error) {
      const status = error instanceof Refusal ? error.status : error instanceof RelaypostError ? 400 : 500;
      return { status, body: { error: (error as Error).message } };
    }
  }

  private async carryOut(request: IncomingMessage): Promise<string> {
    const { headers, method, socket } = request;
    if (method !== "POST") {
      throw new Refusal(405, "only POST");
    }
    // No form of another page can send this type, nor the token.
    if (headers["content-type"] !== "application/json") {
      throw new Refusal(415, "an action is JSON");
    }
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
    if (!isToken(token, this.tokenDigest)) {
      throw new Refusal(401, "This is not the token.");
    }
    const asked = await readAction(request);
    const act =
      typeof asked.action === "string" && Object.hasOwn(ACTIONS, asked.action) ? ACTIONS[asked.action] : undefined;
    if (act === undefined || typeof asked.id !== "string") {
      throw new Refusal(400, `an action is ${Object.keys(ACTIONS).join(", ")}, with the id of a host`);
    }
    return await act(
      this.remotes.host(asked.id),
      asked,
      `somebody at ${socket.remoteAddress ?? "a socket"} via ${this.place}`,
    );
  }
}

async function readAction(request: IncomingMessage): Promise<ActionRequest> {
  const chunks: Buffer[] = [];
  let octets = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    octets += chunk.length;
    if (octets > MOST_BODY_OCTETS) {
      throw new Refusal(413, `an action has at most ${MOST_BODY_OCTETS} octets`);
    }
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as ActionRequest;
    }
  } catch {
    // Said below.
  }
  throw new Refusal(400, "an action is a JSON object");
}

/** Without what was not given. */
function given<T extends object>(values: T): { [Key in keyof T]: Exclude<T[Key], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof T]: Exclude<T[Key], undefined> };
}
