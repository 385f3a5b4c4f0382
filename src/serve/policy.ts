/** Postfix's policy delegation (SMTPD_POLICY_README): attributes and an empty line, answered with an action. Asks a host, or the rules. */
import { replyToHarvester, textOf } from "../adapters/replies.js";
import type { Client } from "../api.js";
import { RelaypostError } from "../errors.js";
import { clientFrom } from "../request/client.js";
import type { RuleEnvelope } from "../rules/envelope.js";
import type { RuleSet } from "../rules/rule-set.js";
import { InputBuffer, ProtocolError } from "./input-buffer.js";
import { type MapAnswer, type Maps, oneLine, replyText, type TellAnswer } from "./maps.js";
import type { Answer, Session } from "./session.js";
import type { PolicySettings } from "./settings.js";

/** The attributes of one request. */
export type PolicyRequest = ReadonlyMap<string, string>;

/** Takes octets, gives requests. */
export class PolicyParser {
  readonly #input = new InputBuffer();
  readonly #mostOctets: number;
  readonly #mostLineOctets: number;
  #attributes = new Map<string, string>();
  #octets = 0;

  constructor(mostOctets: number, mostLineOctets: number) {
    this.#mostOctets = mostOctets;
    this.#mostLineOctets = mostLineOctets;
  }

  receive(chunk: Buffer): void {
    this.#input.receive(chunk);
  }

  /**
   * The next request, or `undefined` when it is not whole yet.
   *
   * @throws ProtocolError. Postfix wants no answer then: it logs, and tries again later.
   */
  next(): PolicyRequest | undefined {
    for (;;) {
      const before = this.#input.length;
      const left = this.#mostOctets - this.#octets;
      const line =
        left < this.#mostLineOctets
          ? this.#input.takeLine(Math.max(0, left), `the rest of a request of at most ${this.#mostOctets} octets`)
          : this.#input.takeLine(this.#mostLineOctets);
      if (line === undefined) {
        return undefined;
      }
      this.#octets += before - this.#input.length;
      if (line === "") {
        const attributes = this.#attributes;
        this.#attributes = new Map();
        this.#octets = 0;
        if (attributes.get("request") !== "smtpd_access_policy") {
          throw new ProtocolError("a request without request=smtpd_access_policy");
        }
        return attributes;
      }
      const equals = line.indexOf("=");
      if (equals <= 0) {
        throw new ProtocolError("a line of a request is no name=value");
      }
      this.#attributes.set(line.slice(0, equals), line.slice(equals + 1));
    }
  }
}

/** What a policy session asks. */
export interface PolicySources {
  readonly maps: Maps;
  /** The rules as they stand now. */
  readonly rules: () => RuleSet;
  readonly tellFailure: (hostId: string | undefined, error: unknown) => void;
  readonly tellAnswer: TellAnswer | undefined;
}

/** One client. */
export class PolicySession implements Session {
  readonly greeting = "";
  readonly #parser: PolicyParser;
  readonly #settings: PolicySettings;
  readonly #sources: PolicySources;

  constructor(settings: PolicySettings, sources: PolicySources) {
    this.#settings = settings;
    this.#sources = sources;
    this.#parser = new PolicyParser(settings.requestOctets, settings.lineOctets);
  }

  receive(chunk: Buffer): void {
    this.#parser.receive(chunk);
  }

  next(): Answer | undefined {
    const request = this.#parser.next();
    return request === undefined ? undefined : this.#answer(request).then((action) => `action=${action}\n\n`);
  }

  async #answer(request: PolicyRequest): Promise<string> {
    const { tellAnswer } = this.#sources;
    if (tellAnswer === undefined) {
      return await this.#decide(request);
    }
    const startMs = performance.now();
    const action = await this.#decide(request);
    tellAnswer("policy", request.get("recipient") ?? "", action, performance.now() - startMs);
    return action;
  }

  async #decide(request: PolicyRequest): Promise<string> {
    const { ask, timeoutMs, reject } = this.#settings;
    const recipient = request.get("recipient") ?? "";
    const { maps, rules, tellFailure } = this.#sources;
    const client = clientOf(request);
    const options = client === undefined ? { timeoutMs } : { timeoutMs, client };
    try {
      switch (ask.kind) {
        case "host":
          // Before RCPT, and for several recipients at the end of data, there is nobody to ask about.
          if (recipient === "") {
            return "DUNNO";
          }
          return wordAnswer(await maps.ask(`${ask.id}-rcpt`, recipient, "DUNNO", options), reject);
        case "rule": {
          const holds = await rules().test(ask.name, this.#envelopeOf(request), options);
          return holds ? "DUNNO" : (reject ?? "REJECT 5.7.1 not allowed");
        }
        case "action": {
          const { action } = ask;
          if (action.kind === "plain") {
            return action.value;
          }
          return oneLine(String(await rules().value(action.path, this.#envelopeOf(request), options)));
        }
      }
    } catch (error) {
      tellFailure(error instanceof RelaypostError ? error.hostId : undefined, error);
      const harvester = replyToHarvester(error);
      if (harvester !== undefined) {
        return `${harvester.code} ${textOf(harvester)}`;
      }
      return "DEFER_IF_PERMIT 4.4.3 no answer now, try again later";
    }
  }

  #envelopeOf(request: PolicyRequest): RuleEnvelope {
    const of = (name: string) => request.get(name) ?? "";
    // Postfix says "unknown" where it has no address.
    const addressOf = (name: string) => (/[.:]/.test(of(name)) ? of(name) : "");
    return {
      rcpt: of("recipient"),
      sender: of("sender"),
      "helo-domain": of("helo_name"),
      "authenticated-as": of("sasl_username"),
      "remote-ip": addressOf("client_address"),
      "local-ip": addressOf("server_address"),
      listener: this.#settings.name,
    };
  }
}

function wordAnswer(answer: MapAnswer, reject: string | undefined): string {
  switch (answer.kind) {
    case "found":
      return answer.value;
    case "no-mail":
      return reject ?? `${answer.reply.code} ${textOf(answer.reply)}`;
    case "harvester":
      return `${answer.reply.code} ${answer.text}`;
    case "not-found":
      return reject ?? `REJECT ${replyText(answer.reply, "5.1.1", "no such recipient")}`;
    default:
      return `DEFER_IF_PERMIT 4.4.3 the recipient cannot be verified now: ${answer.text}`;
  }
}

/** Whose message it is, as Postfix says. */
function clientOf(request: PolicyRequest): Client | undefined {
  const known = (name: string): string | undefined => {
    const value = request.get(name);
    return value === "" || value === "unknown" ? undefined : value;
  };
  const local = known("server_address");
  return clientFrom({
    address: known("client_address"),
    port: Number(known("client_port")),
    name: known("client_name"),
    helo: known("helo_name"),
    login: known("sasl_username"),
    session: known("instance"),
    local: local === undefined ? undefined : { address: local, port: Number(known("server_port")) },
  });
}
