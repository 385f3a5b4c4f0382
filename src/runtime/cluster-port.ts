/**
 * Between the workers of a gateway and its cluster: opens and closes the cluster as the configuration says, hands its grants to
 * the workers and what they want to it. Serves fleet.ts. Without a `[cluster]` nothing of it is loaded.
 */
import { isDeepStrictEqual } from "node:util";
import type { ClusterStats, PlaceStats } from "../api.js";
import type { Cluster } from "../cluster/cluster.js";
import type { ClusterSettings, HostSettings, Settings } from "../config/settings.js";
import { type PlaceDemand, splitLeaseId } from "../messages/places.js";
import type { Log } from "./log.js";
import type { Placement } from "./router.js";
import type { PlaceSource } from "./supervisor-context.js";

export class ClusterPort implements PlaceSource {
  private cluster: Cluster | undefined;
  private settings: ClusterSettings | undefined;

  /** @param find where a host lives, or finishes what it has */
  constructor(
    private readonly log: Log,
    private readonly find: (hostId: string) => Placement | undefined,
  ) {}

  /**
   * Joins the cluster of the settings, and leaves that of others. Makes no connection before it returns.
   *
   * @throws RelaypostError CONFIG_VALUE when Redis' client is not installed
   */
  async use(settings: Settings): Promise<void> {
    if (!isDeepStrictEqual(settings.cluster, this.settings)) {
      await this.leave();
      this.cluster = settings.cluster === undefined ? undefined : await this.join(settings.cluster);
      this.settings = settings.cluster;
    }
    for (const host of settings.hosts.values()) {
      this.setHost(host);
    }
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

  workerStarted(hostId: string): void {
    this.cluster?.workerStarted(hostId);
  }

  workerEnded(hostId: string): void {
    this.cluster?.workerEnded(hostId);
  }

  private async join(settings: ClusterSettings): Promise<Cluster> {
    const { Cluster } = await import("../cluster/cluster.js");
    return await Cluster.open(settings, {
      grant: (leaseId, grant) => {
        const { hostId, of } = splitLeaseId(leaseId);
        const placement = this.find(hostId);
        placement?.supervisor.grantPlaces(placement.load.host, of, grant);
      },
      log: (level, event, message, fields) => this.log.write(level, event, undefined, message, fields),
    });
  }
}
