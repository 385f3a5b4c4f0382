/**
 * What the place script does, written a second time: for a thousand simulated gateways, and to be held to a real Redis by equal
 * random sequences. Counts are kept, where the script counts anew with each call.
 */
import type { PlaceCall, PlaceClaim, PlaceReply } from "../../../src/cluster/place-script.js";

interface Entry {
  readonly id: string;
  serial: number;
  granted: number;
  want: number;
  since: number;
  renewed: number;
  expires: number;
}

/** One host's line of places. Entries stand in the order of their renewal, so that the first one expires first. */
class HostTable {
  run = "";
  doubt = 0;
  readonly entries = new Map<string, Entry>();
  used = 0;
  wanted = 0;
  private reserved = 0;
  private holders = 0;
  /** How many entries want so many and have so many. */
  private readonly grid = new Map<number, Map<number, number>>();
  /** Who wants one and has none. */
  private readonly waiting = new Set<Entry>();

  add(entry: Entry): void {
    this.entries.set(entry.id, entry);
    this.count(entry, 1);
  }

  remove(entry: Entry): void {
    this.entries.delete(entry.id);
    this.count(entry, -1);
  }

  copy(): HostTable {
    const copy = new HostTable();
    copy.run = this.run;
    copy.doubt = this.doubt;
    for (const entry of this.entries.values()) {
      copy.add({ ...entry });
    }
    return copy;
  }

  private count(entry: Entry, sign: 1 | -1): void {
    const { want, granted } = entry;
    this.used += sign * granted;
    this.wanted += sign * want;
    this.reserved += sign * Math.max(granted, want);
    if (granted > 0) {
      this.holders += sign;
    }
    let row = this.grid.get(want);
    if (row === undefined) {
      row = new Map();
      this.grid.set(want, row);
    }
    const count = (row.get(granted) ?? 0) + sign;
    if (count === 0) {
      row.delete(granted);
    } else {
      row.set(granted, count);
    }
    if (row.size === 0) {
      this.grid.delete(want);
    }
    if (granted > 0 || want === 0) {
      return;
    }
    if (sign > 0) {
      this.waiting.add(entry);
    } else {
      this.waiting.delete(entry);
    }
  }

  /** `mine` is not among the entries. */
  target(mine: Entry, total: number, claim: number, nowMs: number, leaseMs: number): number {
    const free = Math.max(0, total - this.used);
    const { level, rest } = this.fill(mine.want, total);
    if (mine.want <= level) {
      const spare = level === Number.POSITIVE_INFINITY ? Math.max(0, total - this.reserved - mine.want) : 0;
      return Math.min(mine.want + Math.min(spare, Math.max(0, claim - mine.want)), free);
    }
    if (level === 0) {
      return Math.min(this.turn(mine, total, nowMs, leaseMs), free);
    }
    let above = 0;
    for (const [want, row] of this.grid) {
      if (want <= level) {
        continue;
      }
      for (const [granted, count] of row) {
        if (granted > level) {
          above += count;
        }
      }
    }
    return Math.min(above < rest ? level + 1 : level, free);
  }

  private fill(want: number, total: number): { level: number; rest: number } {
    const wants = [...this.grid].map(([each, row]) => ({
      want: each,
      count: [...row.values()].reduce((a, b) => a + b),
    }));
    const own = wants.find((each) => each.want === want);
    if (own === undefined) {
      wants.push({ want, count: 1 });
    } else {
      own.count++;
    }
    wants.sort((a, b) => a.want - b.want);
    let left = total;
    let count = wants.reduce((sum, each) => sum + each.count, 0);
    for (const each of wants) {
      const part = Math.floor(left / count);
      if (each.want > part) {
        return { level: part, rest: left - part * count };
      }
      left -= each.want * each.count;
      count -= each.count;
    }
    return { level: Number.POSITIVE_INFINITY, rest: left };
  }

  private turn(mine: Entry, total: number, nowMs: number, leaseMs: number): number {
    if (mine.granted > 0) {
      return nowMs - mine.since >= leaseMs && this.waiting.size > 0 ? 0 : 1;
    }
    let before = 0;
    for (const { since, id } of this.waiting) {
      if (since < mine.since || (since === mine.since && id < mine.id)) {
        before++;
      }
    }
    return before < total - this.holders ? 1 : 0;
  }
}

export class PlacesModel {
  nowMs = 1_000_000;
  /** Another one: the server was started anew, or another one took over. */
  run = "r1";
  private tables = new Map<string, HostTable>();

  /** FLUSHALL. */
  flush(): void {
    this.tables.clear();
  }

  /** A copy of what it knows now, for a server that is started with it later. */
  snapshot(): () => void {
    const copies = [...this.tables].map(([id, table]) => [id, table.copy()] as const);
    return () => {
      this.tables = new Map(copies);
    };
  }

  /** Runs the script; `undefined` is its refusal of a call that was overtaken. */
  apply(call: PlaceCall): PlaceReply[] | undefined {
    const isStale = call.claims.some(
      ({ hostId }) => (this.tables.get(hostId)?.entries.get(call.gateway)?.serial ?? -1) >= call.serial,
    );
    if (isStale) {
      return undefined;
    }
    return call.claims.map((claim) => this.settle(call, claim));
  }

  /** The field of a host as the script leaves it. */
  text(hostId: string): string | null {
    const table = this.tables.get(hostId);
    if (table === undefined) {
      return null;
    }
    const lines = [...table.entries.values()].map(({ id, serial, granted, want, since, renewed, expires }) =>
      [id, serial, granted, want, since, renewed, expires].join(" "),
    );
    return [`${table.run} ${table.doubt}`, ...lines, ""].join("\n");
  }

  /** What is recorded for each gateway that holds a lease. */
  recorded(hostId: string): ReadonlyMap<string, { readonly granted: number; readonly expires: number }> {
    return this.tables.get(hostId)?.entries ?? new Map();
  }

  private settle(call: PlaceCall, claim: PlaceClaim): PlaceReply {
    const { gateway, serial, leaseMs, isStrict, isLeaving } = call;
    const { nowMs } = this;
    const table = this.tableOf(claim.hostId, leaseMs);
    const former = table.entries.get(gateway);
    if (former !== undefined) {
      table.remove(former);
    }
    this.dropExpired(table, former, claim.elapsedMs, leaseMs);
    const had = former?.granted ?? 0;
    const isWaiting = former !== undefined && had === 0 && former.want > 0;
    const since = former !== undefined && (had > 0 || isWaiting) ? former.since : nowMs;
    const expires = nowMs + leaseMs;
    const mine: Entry = { id: gateway, serial, granted: had, want: claim.want, since, renewed: nowMs, expires };
    let target = table.target(mine, claim.total, claim.claim, nowMs, leaseMs);
    let known = table.entries.size + (isLeaving ? 0 : 1);
    if (nowMs < table.doubt) {
      known = Math.max(claim.seen, table.entries.size + 1);
      const cap = isStrict ? 0 : Math.max(1, Math.floor(claim.total / known));
      target = Math.min(target, Math.max(claim.leased, cap));
    }
    mine.granted = Math.max(target, claim.claim);
    if (mine.granted > 0 !== had > 0) {
      mine.since = nowMs;
    }
    const used = table.used + mine.granted;
    if (!isLeaving) {
      table.add(mine);
    }
    return { target, granted: mine.granted, used, seen: known, wanted: table.wanted };
  }

  private tableOf(hostId: string, leaseMs: number): HostTable {
    let table = this.tables.get(hostId);
    if (table === undefined) {
      table = new HostTable();
      this.tables.set(hostId, table);
    }
    if (table.run === this.run) {
      table.doubt = Math.min(table.doubt, this.nowMs + leaseMs);
    } else {
      table.run = this.run;
      table.doubt = this.nowMs + leaseMs;
    }
    return table;
  }

  private dropExpired(table: HostTable, mine: Entry | undefined, elapsedMs: number, leaseMs: number): void {
    const { nowMs } = this;
    const hasJumped =
      mine !== undefined && elapsedMs >= 0 && nowMs - mine.renewed - Math.round(elapsedMs) > leaseMs / 10;
    for (const entry of table.entries.values()) {
      entry.expires = hasJumped ? nowMs + leaseMs : Math.min(entry.expires, nowMs + leaseMs);
      if (entry.expires <= nowMs) {
        table.remove(entry);
      }
    }
    if (mine !== undefined && !hasJumped && Math.min(mine.expires, nowMs + leaseMs) <= nowMs) {
      mine.granted = 0;
    }
  }
}
