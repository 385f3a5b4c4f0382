/**
 * What is asked of a DNS server for SRV records (RFC 2782), and what may be made of its reply: whatever is no reply to this question,
 * by its number and its name, or is larger than anybody needs, is nothing. Without I/O; serves dns-client.ts.
 */
import type { Answer, DecodedPacket } from "dns-packet";

/** As it stands in the DNS. */
export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** A name, without the dot of the root; empty: the service is not there. */
  readonly target: string;
}

/** What is there; nothing where the name has no such records, or does not exist. */
export interface SrvAnswer {
  readonly records: readonly SrvRecord[];
  /** How long the answer is good for, by the shortest time of its records. */
  readonly ttlMs: number;
}

/** `truncated`: to be asked by TCP. `unable`: another server is to be asked. `foreign`: no reply to this question; the reply may still come. */
export type SrvReply = SrvAnswer | "truncated" | "unable" | "foreign";

/** What a datagram may be that comes in one piece everywhere (DNS flag day 2020). */
const UDP_OCTETS = 1232;
/** More are neither needed nor decoded. */
const MOST_RECORDS = 1_000;
/** QR and TC, in the third octet: a reply that was cut off where its octets end. */
const CUT_OFF = 0x82;
const MOST_ALIASES = 8;
/** RFC 2181 8. */
const MOST_TTL_S = 2 ** 31 - 1;

/** Loaded when the first name is asked for: most hosts have no such name. */
export async function loadSrvCodec(): Promise<SrvCodec> {
  return new SrvCodec((await import("dns-packet")).default);
}

export class SrvCodec {
  constructor(private readonly packet: typeof import("dns-packet")) {}

  query(id: number, name: string): Uint8Array {
    return this.packet.encode({
      type: "query",
      id,
      flags: this.packet.RECURSION_DESIRED,
      questions: [{ type: "SRV", name }],
      additionals: [
        {
          type: "OPT",
          name: ".",
          udpPayloadSize: UDP_OCTETS,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ],
    });
  }

  read(octets: Buffer, id: number, name: string): SrvReply {
    if (octets.length < 12 || octets.readUInt16BE(0) !== id) {
      return "foreign";
    }
    if ((octets[2]! & CUT_OFF) === CUT_OFF) {
      return "truncated";
    }
    if (countRecords(octets) > MOST_RECORDS) {
      return "unable";
    }
    let reply: DecodedPacket;
    try {
      reply = this.packet.decode(octets);
    } catch {
      return "unable";
    }
    const [question] = reply.questions ?? [];
    if (reply.type !== "response" || question?.type !== "SRV" || !isSame(question.name, name)) {
      return "foreign";
    }
    // As text; the declared types do not have it.
    const { rcode } = reply as unknown as { readonly rcode: string };
    return rcode === "NOERROR" || rcode === "NXDOMAIN" ? recordsOf(reply.answers ?? [], name) : "unable";
  }
}

/** As its header counts them. */
function countRecords(octets: Buffer): number {
  return [4, 6, 8, 10].reduce((sum, at) => sum + octets.readUInt16BE(at), 0);
}

/** Of the name, or of the one that it is an alias of. */
function recordsOf(answers: readonly Answer[], name: string): SrvAnswer {
  let [owner, ttl] = [name, MOST_TTL_S];
  for (let aliases = 0; aliases < MOST_ALIASES; aliases++) {
    const alias = answers.find((answer) => answer.type === "CNAME" && isSame(answer.name, owner));
    if (alias?.type !== "CNAME") {
      break;
    }
    owner = alias.data;
    ttl = Math.min(ttl, secondsOf(alias.ttl));
  }
  const records: SrvRecord[] = [];
  for (const answer of answers) {
    if (answer.type === "SRV" && isSame(answer.name, owner)) {
      const { priority = 0, weight = 0, port, target } = answer.data;
      records.push({ priority, weight, port, target: withoutRoot(target) });
      ttl = Math.min(ttl, secondsOf(answer.ttl));
    }
  }
  return { records, ttlMs: records.length === 0 ? 0 : ttl * 1000 };
}

/** RFC 2181 8: one with its highest bit set counts as 0. */
function secondsOf(ttl: number | undefined): number {
  return ttl === undefined || ttl > MOST_TTL_S ? 0 : ttl;
}

function isSame(one: string, other: string): boolean {
  return withoutRoot(one).toLowerCase() === withoutRoot(other).toLowerCase();
}

function withoutRoot(name: string): string {
  return name.replace(/\.$/, "");
}
