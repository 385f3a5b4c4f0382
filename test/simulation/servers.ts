/** The servers of a run: two sites, of which a change of the settings leads from the first to the second, and their bad days. */
import type { SrvAnswer } from "../../workers/wire/dns/srv-message.js";
import { ImapPeer } from "./imap-peer.js";
import type { Ledger } from "./ledger.js";
import type { LinePeer } from "./line-peer.js";
import type { Link, Peer } from "./link.js";
import { MailPeer } from "./mail-peer.js";
import { PeerFaults } from "./peer-faults.js";
import type { Random } from "./random.js";
import type { Scenario } from "./scenario.js";
import type { Trace } from "./trace.js";
import type { VirtualTime } from "./virtual-time.js";

export class Servers {
  private readonly peers = new Set<LinePeer>();
  private downUntilMs = 0;

  constructor(
    private readonly time: VirtualTime,
    private readonly random: Random,
    private readonly scenario: Scenario,
    private readonly ledger: Ledger,
    private readonly trace: Trace,
    private readonly contents: ReadonlyMap<string, string>,
    private readonly recipients: ReadonlyMap<string, readonly string[]>,
  ) {}

  /** One to three addresses; in 10.0.0 lives the first site, in 10.0.1 the second. */
  addressesOf(name: string): readonly string[] {
    if (/^[0-9]/.test(name)) {
      return [name];
    }
    const [, node] = /^node(\d)\.first\.sim$/.exec(name) ?? [];
    if (node !== undefined) {
      return [`10.0.0.${node}`];
    }
    const network = name === "first.sim" ? "10.0.0" : "10.0.1";
    return Array.from({ length: this.random.pick([1, 1, 2, 3]) }, (_, at) => `${network}.${at + 1}`);
  }

  /** What SRV records name: nodes of the first site, now these and now those. */
  findService(): SrvAnswer {
    const nodes = [1, 2, 3].filter((node) => node === 1 || this.random.chance(0.7));
    const records = nodes.map((node) => {
      const [priority, weight] = [this.random.below(2), this.random.pick([0, 1, 5])];
      return { priority, weight, port: 25, target: `node${node}.first.sim` };
    });
    return { records, ttlMs: this.random.pick([0, 6_000, 60_000]) };
  }

  /** Every connection is lost; for a while none is accepted. */
  restart(downMs: number): void {
    this.trace.add("srvr", `restarts, down for ${downMs} ms`);
    this.downUntilMs = this.time.nowMs + downMs;
    for (const peer of this.peers) {
      peer.stop();
    }
  }

  accept(address: string, link: Link): Peer | undefined {
    if (this.time.nowMs < this.downUntilMs) {
      return undefined;
    }
    const record = this.ledger.accepted(address.startsWith("10.0.0.") ? "first" : "second");
    const { time, random, scenario, ledger, trace, contents, recipients } = this;
    // With BDAT no 354 shows that replies and commands still match: nobody could tell that such a server drops or adds some.
    const rates = scenario.offer.chunking ? { ...scenario.faults, drops: 0, surplus: 0 } : scenario.faults;
    const faults = new PeerFaults(random, rates);
    const parts = { link, record, faults, scenario, time, random, ledger, trace, contents, recipients };
    const peer = scenario.settings.protocol === "imap" ? new ImapPeer(parts) : new MailPeer(parts);
    trace.add(
      `s${record.number}`,
      `accepted at ${address}${faults.isSilent ? ", silent" : ""}${faults.drops ? ", drops" : ""}`,
    );
    this.peers.add(peer);
    return peer;
  }
}
