/**
 * The event streams of a page's viewers (server-sent events). A viewer that reads slowly is told less often, one that does not read at
 * all is let go, and there are never more than a few, so that nobody can make the gateway hold what it does not read.
 */
import type { ServerResponse } from "node:http";
import { RelaypostError } from "../errors.js";
import type { ConnectionSight } from "../messages/operating.js";
import type { Monitor } from "../operator/monitor.js";
import type { RemoteHosts } from "../remote-hosts.js";
import { Frames } from "./frames.js";

/** More people hardly look at one page; more readers are a mistake, or worse. */
const MOST_STREAMS = 32;
/** Looks that a viewer may miss in a row because it has not read the one before. */
const MOST_MISSED = 15;
/** The lines behind the rates move slowly. */
const SPARKS_EVERY = 5;

/** What a page is of. */
export type PageSource = Pick<RemoteHosts, "monitor" | "host">;

interface Stream {
  readonly response: ServerResponse;
  /** The host whose details it wants. */
  readonly hostId: string | undefined;
  missed: number;
  looks: number;
}

export class LiveStreams {
  private readonly streams = new Set<Stream>();
  private readonly frames: Frames;
  private readonly monitor: Monitor;
  private unsubscribe: (() => void) | undefined;

  constructor(
    private readonly remotes: PageSource,
    addresses: boolean,
    canAct: boolean,
  ) {
    this.monitor = remotes.monitor;
    this.frames = new Frames(remotes.monitor, addresses, canAct);
  }

  get count(): number {
    return this.streams.size;
  }

  /** One more viewer; false: there are too many. */
  add(response: ServerResponse, hostId: string | undefined): boolean {
    if (this.streams.size >= MOST_STREAMS) {
      return false;
    }
    const stream: Stream = { response, hostId, missed: 0, looks: 0 };
    this.streams.add(stream);
    response.once("close", () => this.remove(stream));
    // The browser asks again by itself, so soon.
    response.write("retry: 2000\n\n");
    if (this.unsubscribe === undefined) {
      this.unsubscribe = this.monitor.onLook(() => this.looked());
    }
    if (this.monitor.hostIds.length > 0) {
      this.tell(stream);
      void this.tellConnections();
    }
    return true;
  }

  /** Ends all of them. */
  close(): void {
    for (const { response } of this.streams) {
      response.end();
    }
  }

  /** `undefined`: there is no such host, or no more. */
  private async connectionsOf(hostId: string): Promise<readonly ConnectionSight[] | undefined> {
    try {
      return await this.remotes.host(hostId).connections();
    } catch (error) {
      if (error instanceof RelaypostError) {
        return undefined;
      }
      throw error;
    }
  }

  private remove(stream: Stream): void {
    this.streams.delete(stream);
    if (this.streams.size === 0) {
      this.unsubscribe?.();
      this.unsubscribe = undefined;
      this.frames.forget();
    }
  }

  private looked(): void {
    this.frames.forget();
    for (const stream of this.streams) {
      this.tell(stream);
    }
    void this.tellConnections();
  }

  /** The worker is asked, once for all who look at the same host. */
  private async tellConnections(): Promise<void> {
    const watched = new Set([...this.streams].map(({ hostId }) => hostId));
    await Promise.all(
      [...watched].map((hostId) => (hostId === undefined ? undefined : this.tellConnectionsOf(hostId))),
    );
  }

  private async tellConnectionsOf(hostId: string): Promise<void> {
    const connections = await this.connectionsOf(hostId);
    if (connections === undefined) {
      return;
    }
    const text = this.frames.connections(hostId, connections);
    for (const stream of this.streams) {
      if (stream.hostId === hostId && !stream.response.writableNeedDrain) {
        stream.response.write(text);
      }
    }
  }

  private tell(stream: Stream): void {
    const { response, hostId } = stream;
    if (response.writableNeedDrain) {
      stream.missed++;
      if (stream.missed > MOST_MISSED) {
        response.destroy();
      }
      return;
    }
    stream.missed = 0;
    let text = this.frames.hosts();
    if (stream.looks % SPARKS_EVERY === 0) {
      text += this.frames.sparks();
    }
    if (hostId !== undefined) {
      text += this.frames.host(hostId);
    }
    stream.looks++;
    response.write(text);
  }
}
