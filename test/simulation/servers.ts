/** The servers of a run: two sites, of which a change of the settings leads from the first to the second, and their bad days. */
import type { SrvAnswer } from "../../workers/wire/dns/srv-message.js";
import { ImapPeer } from "./imap-peer.js";
import type { Ledger } from "./ledger.js";
import type { LinePeer, Pace } from "./line-peer.js";
import type { Link, Peer } from "./link.js";
import { MailPeer } from "./mail-peer.js";
import { PeerFaults } from "./peer-faults.js";
import { addressOfNode, someRecords } from "./places.js";
import type { Random } from "./random.js";
import type { Scenario } from "./scenario.js";
import type { Trace } from "./trace.js";
import type { VirtualTime } from "./virtual-time.js";

export class Servers {
  /** By the address that they were dialled at. */
  private readonly peers = new Map<LinePeer, string>();
  private readonly nodesDownUntilMs = new Map<string, number>();
  private downUntilMs = 0;
  readonly pace: Pace = { replyMs: 0 };

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
    const node = addressOfNode(name);
    if (node !== undefined) {
      return [node];
    }
    const network = name === "first.sim" ? "10.0.0" : "10.0.1";
    return Array.from({ length: this.random.pick([1, 1, 2, 3]) }, (_, at) => `${network}.${at + 1}`);
  }

  findService(): SrvAnswer {
    return someRecords(this.random, this.scenario.isCalm);
  }

  /** Every connection to one node is lost; for a while it accepts none. */
  restartNode(address: string, downMs: number): void {
    this.trace.add("srvr", `${address} restarts, down for ${downMs} ms`);
    this.nodesDownUntilMs.set(address, this.time.nowMs + downMs);
    for (const [peer, place] of this.peers) {
      if (place === address) {
        peer.stop();
      }
    }
  }

  /** Every connection is lost; for a while none is accepted. */
  restart(downMs: number): void {
    this.trace.add("srvr", `restarts, down for ${downMs} ms`);
    this.downUntilMs = this.time.nowMs + downMs;
    for (const peer of this.peers.keys()) {
      peer.stop();
    }
  }

  accept(address: string, link: Link): Peer | undefined {
    const { nowMs } = this.time;
    if (nowMs < this.downUntilMs || nowMs < (this.nodesDownUntilMs.get(address) ?? 0)) {
      return undefined;
    }
    const record = this.ledger.accepted(address.startsWith("10.0.0.") ? "first" : "second", address, link);
    const { time, random, scenario, ledger, trace, contents, recipients, pace } = this;
    // With BDAT no 354 shows that replies and commands still match: nobody could tell that such a server drops or adds some.
    const rates = scenario.offer.chunking ? { ...scenario.faults, drops: 0, surplus: 0 } : scenario.faults;
    const faults = new PeerFaults(random, rates);
    const parts = { link, record, faults, scenario, time, random, ledger, trace, contents, recipients, pace };
    const peer = scenario.settings.protocol === "imap" ? new ImapPeer(parts) : new MailPeer(parts);
    trace.add(
      `s${record.number}`,
      `accepted at ${address}${faults.isSilent ? ", silent" : ""}${faults.drops ? ", drops" : ""}`,
    );
    this.peers.set(peer, address);
    return peer;
  }
}
