/** What the tests of the IMAP session share: settings, an owner that records, and scripts around a login. */
import { createHash } from "node:crypto";
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { Answer, UserCredentials } from "../../src/messages/contract.js";
import type { HostLog } from "../../src/messages/host-log.js";
import type { LoginOwner } from "../../workers/wire/imap/login-owner.js";
import { ImapPeerMemory } from "../../workers/wire/imap/peer-memory.js";
import { ImapSession } from "../../workers/wire/imap/session.js";
import type { Progress } from "../../workers/wire/progress.js";
import { ReplyRules } from "../../workers/wire/reply-rules.js";
import { cacheSettings } from "./cache-settings.js";
import type { Script } from "./transcript.js";

/** Settings of an IMAP host, as far as its session reads them. */
export function imapSettings(
  startTls: HostSettings["tls"]["startTls"] = "require",
  details: Partial<HostSettings> = {},
): HostSettings {
  return {
    id: "imap",
    address: "mail.example.org",
    port: 143,
    protocol: "imap",
    concurrency: 1,
    timeoutMs: 60_000,
    lookup: true,
    client: "none",
    tls: { implicit: false, startTls, allowInvalidCerts: false, serverName: "mail.example.org", minVersion: "TLSv1.2" },
    allowPlaintextAuth: false,
    bareRecipients: false,
    eightBit: "send",
    timeouts: {
      greetingMs: 300_000,
      mailMs: 1,
      rcptMs: 1,
      dataInitiationMs: 1,
      dataBlockMs: 1,
      dataTerminationMs: 1,
      commandMs: 120_000,
      lookupMs: 10_000,
    },
    limits: {
      errors: 3,
      requests: 50,
      idleMs: 1,
      lifetimeMs: 1,
      queue: 1,
      queueOctets: 1,
      pipeline: 1,
      refusals: 5,
      guesses: 10,
    },
    cache: cacheSettings(),
    ...details,
  };
}

/** Records what a session tells its owner, and gives it logins as it gets ready. */
export class RecordingOwner implements LoginOwner {
  readonly events: string[] = [];
  readonly results: (Answer | Failure)[] = [];
  ending: Failure | undefined;
  session: ImapSession | undefined;

  /** Private for real: tests inspect a session, and with it its owner, for secrets. */
  readonly #logins: UserCredentials[];

  constructor(logins: UserCredentials[]) {
    this.#logins = logins;
  }

  ready(): void {
    this.events.push("ready");
    const credentials = this.#logins.shift();
    if (credentials !== undefined) {
      this.session?.login(credentials);
    }
  }

  loginAnswered(result: Answer | Failure, mayContinue: boolean): void {
    this.results.push(result);
    const what = "code" in result ? result.code : result.found ? "found" : "not found";
    this.events.push(`${what}, ${mayContinue ? "on" : "over"}`);
  }

  mayRepeat(): boolean {
    return true;
  }

  loginLost(failure: Failure, _progress: Progress): void {
    this.results.push(failure);
    this.events.push(`${failure.code}, over`);
  }

  ended(failure: Failure): void {
    this.ending = failure;
    this.events.push(`ended ${failure.code}`);
  }

  readonly log: HostLog = { write: (_level, event, message) => this.events.push(`notice ${event}: ${message}`) };
}

/** A script for an IMAP session whose owner asks for these logins, one whenever it is ready. */
export interface ImapScript extends Script<ImapSession> {
  readonly owner: RecordingOwner;
}

/** The client's nonce in the example of RFC 5802 5, which each SCRAM exchange of these scripts uses. */
const RFC_NONCE = Buffer.from("fyko+d2lbbFgONRv9qkxdawL", "base64");

/** Makes such a script. Random octets count up from one seed: each tag is another, and each replay the same. */
export function imapScript(
  steps: ImapScript["steps"],
  options: {
    settings?: HostSettings;
    isSecure?: boolean;
    logins?: readonly UserCredentials[];
    peer?: ImapPeerMemory;
    client?: string;
  } = {},
): ImapScript {
  const owner = new RecordingOwner([...(options.logins ?? [])]);
  let drawn = 0;
  const randomBytes = (octets: number) => {
    if (octets === RFC_NONCE.length) {
      return RFC_NONCE;
    }
    return createHash("sha256").update(`${drawn++}`).digest().subarray(0, octets);
  };
  return {
    owner,
    isSecure: options.isSecure ?? false,
    steps,
    open(wire) {
      const settings = options.settings ?? imapSettings();
      owner.session = new ImapSession(wire, {
        settings,
        peer: options.peer ?? new ImapPeerMemory(),
        owner,
        log: owner.log,
        replyRules: settings.replies === undefined ? undefined : new ReplyRules(settings.replies),
        randomBytes,
        client: options.client ?? "",
      });
      return owner.session;
    },
  };
}
