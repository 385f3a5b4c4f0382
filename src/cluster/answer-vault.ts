/**
 * What of a question and its answer may stand in Redis: keyed digests, and values that only holders of the cluster's secret can read.
 * Serves shared-answers.ts.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import type { HostSettings } from "../config/settings.js";
import type { LookupKind } from "../lookup-kinds.js";
import { addressOfClient, NO_CLIENT } from "../messages/client.js";
import type { Answer, UserCredentials } from "../messages/contract.js";
import { foldDomain } from "../messages/lookup-key.js";

const IV_OCTETS = 12;
const TAG_OCTETS = 16;

/** What was asked. */
export interface SharedQuestion {
  readonly kind: LookupKind;
  /** The address, name or list; of a login the username. */
  readonly value: string;
  /** On whose behalf, see src/messages/client.ts. */
  readonly client: string;
  readonly credentials: UserCredentials | undefined;
}

/** Where an answer stands. `forget()` drops whole records. */
export interface SharedPlace {
  /** Of a recipient, or of a user. */
  readonly record: string;
  /** Of the kind of question, the client and the password. */
  readonly field: string;
  /** The two as one text: no other answer has it. */
  readonly where: string;
}

/** Whose answers a record has. */
type RecordOwner = "recipient" | "username";

/** Digests of what a host's settings mean, and of the questions about it that are nobody's. */
interface HostDigests {
  readonly meaning: string;
  readonly fields: { [kind in LookupKind]?: string };
  /** What the texts of its records begin with. */
  readonly starts: Readonly<Record<RecordOwner, string>>;
}

export class AnswerVault {
  private readonly digestKey: KeyObject;
  private readonly sealKey: KeyObject;
  private readonly digests = new WeakMap<HostSettings, HostDigests>();

  /**
   * @param secret of the cluster
   * @param name of the cluster: another one has other keys
   */
  constructor(secret: string, name: string) {
    this.digestKey = derive(secret, name, "digests");
    this.sealKey = derive(secret, name, "values");
  }

  placeOf(host: HostSettings, { kind, value, client, credentials }: SharedQuestion): SharedPlace {
    const ofClient = host.cache.byClient && client !== NO_CLIENT ? addressOfClient(client) : "";
    const digests = this.digestsOf(host);
    const record = this.recordIn(digests, kind === "auth" ? "username" : "recipient", value);
    const field =
      ofClient === "" && credentials === undefined
        ? this.plainField(digests, kind)
        : this.digest(["question", record, kind, ofClient, ...secretsOf(credentials)]);
    return { record, field, where: placeText(record, field) };
  }

  recordOf(host: HostSettings, of: RecordOwner, value: string): string {
    return this.recordIn(this.digestsOf(host), of, value);
  }

  /** Most questions cost one digest: whose record it is, the field need not say again. */
  private plainField({ meaning, fields }: HostDigests, kind: LookupKind): string {
    const field = fields[kind] ?? this.digest(["question", meaning, kind]);
    fields[kind] = field;
    return field;
  }

  private recordIn({ starts }: HostDigests, of: RecordOwner, value: string): string {
    return this.digestOf(starts[of] + withLength(of === "recipient" ? foldDomain(value) : value));
  }

  private digestsOf(host: HostSettings): HostDigests {
    let digests = this.digests.get(host);
    if (digests === undefined) {
      const meaning = this.digest(["host", ...meaningOf(host)]);
      const startOf = (of: RecordOwner): string => join(["record", meaning, of]);
      digests = { meaning, fields: {}, starts: { recipient: startOf("recipient"), username: startOf("username") } };
      this.digests.set(host, digests);
    }
    return digests;
  }

  /** @param where what the text belongs to: it means nothing anywhere else */
  seal(text: string, where: string): string {
    const iv = randomBytes(IV_OCTETS);
    const cipher = createCipheriv("aes-256-gcm", this.sealKey, iv).setAAD(Buffer.from(where));
    const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString("base64");
  }

  /** `undefined`: somebody without the secret wrote it, or it belongs elsewhere. */
  open(sealed: string, where: string): string | undefined {
    const bytes = Buffer.from(sealed, "base64");
    if (bytes.length < IV_OCTETS + TAG_OCTETS) {
      return undefined;
    }
    const decipher = createDecipheriv("aes-256-gcm", this.sealKey, bytes.subarray(0, IV_OCTETS))
      .setAAD(Buffer.from(where))
      .setAuthTag(bytes.subarray(IV_OCTETS, IV_OCTETS + TAG_OCTETS));
    // Asked for text, it would make a decoder.
    try {
      const text = decipher.update(bytes.subarray(IV_OCTETS + TAG_OCTETS));
      decipher.final();
      return text.toString("utf8");
    } catch {
      return undefined;
    }
  }

  sealAnswer({ found, values, reply, mailbox }: Answer, { where }: SharedPlace): string {
    return this.seal(JSON.stringify([found, values, reply, mailbox]), where);
  }

  openAnswer(sealed: string, { where }: SharedPlace): Answer | undefined {
    const text = this.open(sealed, where);
    if (text === undefined) {
      return undefined;
    }
    const [found, values, reply, mailbox] = JSON.parse(text) as [
      Answer["found"],
      Answer["values"],
      Answer["reply"],
      Answer["mailbox"] | null | undefined,
    ];
    return { found, values, reply, ...(mailbox === undefined || mailbox === null ? {} : { mailbox }) };
  }

  private digest(parts: readonly (string | number)[]): string {
    return this.digestOf(join(parts));
  }

  private digestOf(text: string): string {
    return createHmac("sha256", this.digestKey).update(text).digest("base64url");
  }
}

/** Each part stands with its length before it: no two different questions are one text. */
function join(parts: readonly (string | number)[]): string {
  return parts.map((part) => withLength(String(part))).join("");
}

function withLength(part: string): string {
  return `${Buffer.byteLength(part)}:${part},`;
}

/** {@link SharedPlace.where}. */
export function placeText(record: string, field: string): string {
  return `${record} ${field}`;
}

function secretsOf(credentials: UserCredentials | undefined): string[] {
  return credentials === undefined ? [] : [credentials.isToken ? "token" : "password", credentials.secret];
}

/** The settings that decide whom the answers are of, and how they are read. */
function meaningOf({ id, protocol, address, port, auth, tls, cache, replies }: HostSettings): (string | number)[] {
  const account = auth?.username ?? "";
  return [id, protocol, address, port, account, tls.serverName, String(cache.byClient), JSON.stringify(replies ?? [])];
}

function derive(secret: string, name: string, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync("sha256", secret, name, `relaypost cluster ${purpose}`, 32)));
}
