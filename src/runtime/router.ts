/**
 * From a host's id to the mailbox of its worker thread, and admission: a request is accepted, or refused at once.
 * Routes are kept by fleet.ts and used by remote-hosts.ts.
 */
import type { HostSettings } from "../config/settings.js";
import { RelaypostError } from "../errors.js";
import type { Lane } from "./slot.js";
import type { Supervisor } from "./supervisor.js";

/** Where a host lives now. */
export interface Place {
  readonly supervisor: Supervisor;
  readonly lane: Lane;
}

/** One remote host as the gateway's thread knows it. Its handle outlives reloads, also one that removes the host and one that brings it back. */
export class Route {
  /** Requests that were refused at the door. */
  turnedAway = 0;

  constructor(
    readonly id: string,
    public settings: HostSettings,
    public place: Place,
    public state: "open" | "removed" | "closed" = "open",
  ) {}

  /**
   * @param octets of content that would wait
   * @throws RelaypostError MAILBOX_CLOSED, HOST_UNAVAILABLE or MAILBOX_FULL
   */
  admit(octets: number): void {
    const { supervisor, lane } = this.place;
    const { mailbox } = supervisor;
    const { queue, queueOctets } = this.settings.limits;
    if (this.state !== "open") {
      throw this.refusal("MAILBOX_CLOSED", CLOSED_MESSAGES[this.state]);
    }
    if (supervisor.isFailed) {
      throw this.refusal("HOST_UNAVAILABLE", "The host's worker thread was lost too often; it is tried again later.");
    }
    // Most requests find less waiting than that even when those in flight are counted too.
    if ((lane.pending >= queue && lane.waiting(mailbox, queue) >= queue) || mailbox.isFull) {
      throw this.refusal("MAILBOX_FULL", `${queue} requests wait for this host already (limits.queue).`);
    }
    const room = queueOctets - octets;
    if (lane.octets > room && lane.waitingOctets(mailbox, room) > room) {
      throw this.refusal(
        "MAILBOX_FULL",
        `The contents that wait for this host would exceed ${queueOctets} octets (limits.queue-bytes).`,
      );
    }
  }

  private refusal(code: "MAILBOX_CLOSED" | "MAILBOX_FULL" | "HOST_UNAVAILABLE", message: string): RelaypostError {
    this.turnedAway++;
    return new RelaypostError(code, message, { hostId: this.id });
  }
}

const CLOSED_MESSAGES = {
  removed: "The host was removed from the configuration.",
  closed: "The remote hosts were closed.",
} as const;

/** All routes, by their hosts' ids. */
export class Router {
  private readonly routes = new Map<string, Route>();

  /** The ids of the hosts that take requests, in the order of the configuration. */
  get ids(): string[] {
    return this.open().map((route) => route.id);
  }

  open(): Route[] {
    return [...this.routes.values()].filter((route) => route.state === "open");
  }

  /** The route of a host that is configured now. */
  find(id: string): Route | undefined {
    const route = this.routes.get(id);
    return route?.state === "removed" ? undefined : route;
  }

  /** Makes a host reachable, or reachable again. */
  add(settings: HostSettings, place: Place): void {
    const { id } = settings;
    const route = this.routes.get(id);
    if (route === undefined) {
      this.routes.set(id, new Route(id, settings, place));
      return;
    }
    route.settings = settings;
    route.place = place;
    route.state = "open";
  }

  /** No request gets through from now on. */
  closeAll(): void {
    for (const route of this.routes.values()) {
      route.state = "closed";
    }
  }
}
