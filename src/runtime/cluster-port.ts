/**
 * Between the workers of a gateway and its cluster: opens and closes the cluster as the configuration says, hands its grants to
 * the workers and what they want to it. Serves fleet.ts. Without a `[cluster]` nothing of it is loaded.
 */
import { isDeepStrictEqual } from "node:util";
import type { Cluster, ClusterOwner } from "../cluster/cluster.js";
import type { HeldLeases } from "../cluster/leases.js";
import type { ClusterSettings, HostSettings, Settings } from "../config/settings.js";
import type { HealthHint, HealthNews } from "../messages/health.js";
import { type PlaceDemand, splitLeaseId } from "../messages/places.js";
import type { ClusterStats, PlaceStats } from "../stats.js";
import { systemClock } from "../timer-wheel.js";
import type { Log } from "./log.js";
import type { Placement } from "./router.js";
import { type Drop, SharedLookups, type SharedWorker } from "./shared-lookups.js";
import type { PlaceSource } from "./supervisor-context.js";

export class ClusterPort implements PlaceSource {
  private cluster: Cluster | undefined;
  private settings: ClusterSettings | undefined;

  /**
   * @param find where a host lives, or finishes what it has
   * @param forgotten another gateway dropped answers of a host: drops those that are known here
   */
  constructor(
    private readonly log: Log,
    private readonly find: (hostId: string) => Placement | undefined,
    private readonly forgotten: (hostId: string, drop: Drop) => void,
  ) {}

  /**
   * Joins the cluster of the settings, and leaves that of others. Makes no connection before it returns.
   *
   * @throws RelaypostError CONFIG_VALUE when Redis' client is not installed
   */
  async use(settings: Settings): Promise<void> {
    if (!isDeepStrictEqual(settings.cluster, this.settings)) {
      const held = isSameCluster(settings.cluster, this.settings) ? this.cluster?.handOver() : undefined;
      if (held === undefined) {
        await this.leave();
      }
      this.cluster = settings.cluster === undefined ? undefined : await this.join(settings.cluster, held);
      this.settings = settings.cluster;
    }
    for (const host of settings.hosts.values()) {
      this.setHost(host);
    }
  }

  /** What asks other gateways about this host's answers first; `undefined` where it shares none. */
  lookupsOf(host: HostSettings, former: SharedLookups | undefined): SharedLookups | undefined {
    const answers = host.cluster?.cache === true ? this.cluster?.answers : undefined;
    if (former?.isFor(host, answers) === true) {
      return former;
    }
    former?.stop();
    return answers === undefined
      ? undefined
      : new SharedLookups(host, answers, systemClock, () => this.workerOf(host.id));
  }

  private workerOf(hostId: string): SharedWorker | undefined {
    const placement = this.find(hostId);
    if (placement === undefined) {
      return undefined;
    }
    const { supervisor, load } = placement;
    const adopt: SharedWorker["adopt"] = (question, answer, ageMs) =>
      supervisor.mailbox.adopt(load, { ...question, answer, ageMs });
    return { load, adopt };
  }

  setHost(host: HostSettings): void {
    this.cluster?.setHost(host);
  }

  removeHost(hostId: string): void {
    this.cluster?.removeHost(hostId);
  }

  stats(): ClusterStats | undefined {
    return this.cluster?.stats();
  }

  placeStats(hostId: string): PlaceStats | undefined {
    return this.cluster?.placeStats(hostId);
  }

  async leave(): Promise<void> {
    const { cluster } = this;
    this.cluster = undefined;
    this.settings = undefined;
    await cluster?.close();
  }

  wanted(leaseId: string, demand: PlaceDemand): void {
    this.cluster?.demanded(leaseId, demand);
  }

  healthFound(hostId: string, news: HealthNews): void {
    if (this.cluster !== undefined) {
      this.cluster.found(hostId, news);
    } else if (news.is === "wish") {
      // The cluster was left: nobody else finds out.
      const placement = this.find(hostId);
      const turn: HealthHint = { is: "turn", of: news.of };
      placement?.supervisor.tell(placement.load.host, (control) => control.hint(placement.load.host, turn));
    }
  }

  /** See {@link Cluster.dropHealth}. */
  dropHealth(hostId: string): void {
    this.cluster?.dropHealth(hostId);
  }

  workerStarted(hostId: string): void {
    this.cluster?.workerStarted(hostId);
  }

  workerEnded(hostId: string): void {
    this.cluster?.workerEnded(hostId);
  }

  private async join(settings: ClusterSettings, held: HeldLeases | undefined): Promise<Cluster> {
    const { Cluster } = await import("../cluster/cluster.js");
    const owner: ClusterOwner = {
      grant: (leaseId, grant) => {
        const { hostId, of } = splitLeaseId(leaseId);
        const placement = this.find(hostId);
        placement?.supervisor.tell(placement.load.host, (control) =>
          control.grantPlaces(placement.load.host, of, grant),
        );
      },
      hint: (hostId, hint) => {
        const placement = this.find(hostId);
        placement?.supervisor.tell(placement.load.host, (control) => control.hint(placement.load.host, hint));
      },
      forgotten: (hostId, filter) => {
        const { supervisor, load } = this.find(hostId) ?? {};
        const drop: Drop = async () => (await supervisor?.ask((control) => control.forget(load!.host, filter), 0)) ?? 0;
        this.forgotten(hostId, drop);
      },
      log: (level, event, message, fields) => this.log.write(level, event, undefined, message, fields),
    };
    return await Cluster.open(settings, owner, held);
  }
}

/** The places of one are those of the other: the connections that have them go on to. */
function isSameCluster(a: ClusterSettings | undefined, b: ClusterSettings | undefined): boolean {
  const identity = (settings: ClusterSettings) => [settings.name, settings.redis.urls, settings.redis.sentinel];
  return a !== undefined && b !== undefined && isDeepStrictEqual(identity(a), identity(b));
}
