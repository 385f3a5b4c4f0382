/** What the page is told after each look, as text that all its viewers share. Made by live-streams.ts. */
import type { ConnectionSight } from "../messages/operating.js";
import type { Monitor } from "../operator/monitor.js";
import type { HostEvent, HostLines, HostReport, Spark } from "../operator/report.js";
import type { ShownSettings } from "../operator/shown-settings.js";

/** All hosts: the event `hosts`. */
export interface HostsFrame {
  readonly atMs: number;
  /** Whoever has the token may act. */
  readonly canAct: boolean;
  /** In the order of the configuration. */
  readonly hosts: readonly HostReport[];
}

/** Requests a second of each host, by its id: the event `sparks`. */
export type SparksFrame = Readonly<Record<string, Spark>>;

/** One host: the event `host`. */
export interface HostFrame {
  readonly id: string;
  readonly lines: HostLines | null;
  /** Oldest first. */
  readonly events: readonly HostEvent[];
  readonly settings: ShownSettings;
}

/** A host's connections one by one: the event `connections`. */
export interface ConnectionsFrame {
  readonly id: string;
  /** The oldest ones where there are very many. */
  readonly connections: readonly ConnectionSight[];
  readonly total: number;
}

/** Nobody reads more of them. */
const MOST_CONNECTIONS = 200;

/** Frames of one page. Those that several viewers want are made once a look. */
export class Frames {
  private made = new Map<string, string>();

  constructor(
    private readonly monitor: Monitor,
    private readonly addresses: boolean,
    private readonly canAct = false,
  ) {}

  /** After a look everything is made anew. */
  forget(): void {
    this.made = new Map();
  }

  hosts(): string {
    const { monitor, addresses, canAct } = this;
    return this.once("hosts", () => {
      const frame: HostsFrame = { atMs: Date.now(), canAct, hosts: monitor.lastReports({ addresses }) };
      return frame;
    });
  }

  sparks(): string {
    return this.once("sparks", () => {
      const sparks: Record<string, Spark> = {};
      for (const hostId of this.monitor.hostIds) {
        sparks[hostId] = this.monitor.spark(hostId);
      }
      return sparks;
    });
  }

  host(hostId: string): string {
    const { monitor, addresses } = this;
    return this.once(`host ${hostId}`, () => {
      const frame: HostFrame = {
        id: hostId,
        lines: monitor.lines(hostId) ?? null,
        events: monitor.events(hostId, { addresses }),
        settings: monitor.settings(hostId, { addresses }),
      };
      return frame;
    });
  }

  connections(id: string, connections: readonly ConnectionSight[]): string {
    const shown = connections.toSorted((one, other) => one.number - other.number).slice(0, MOST_CONNECTIONS);
    return this.once(`connections ${id}`, () => {
      const frame: ConnectionsFrame = { id, connections: shown, total: connections.length };
      return frame;
    });
  }

  /** `name` is the event's name, and perhaps a host's id. */
  private once(name: string, make: () => HostsFrame | SparksFrame | HostFrame | ConnectionsFrame): string {
    let text = this.made.get(name);
    if (text === undefined) {
      text = `event: ${name.split(" ", 1)[0]}\ndata: ${JSON.stringify(make())}\n\n`;
      this.made.set(name, text);
    }
    return text;
  }
}
