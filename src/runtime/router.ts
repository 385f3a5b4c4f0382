/**
 * From a host's id to the mailbox of its worker thread, and admission: a request is accepted, or refused at once.
 * Routes are kept by fleet.ts; remote-hosts.ts sends its requests by them.
 */
import type { Content, LookupAnswer, RelayResult, RequestOptions } from "../api.js";
import type { HostSettings } from "../config/settings.js";
import { RelaypostError } from "../errors.js";
import type { AddressLookupKind, LookupKind } from "../lookup-kinds.js";
import { NO_CLIENT } from "../messages/client.js";
import type { UserCredentials } from "../messages/contract.js";
import type { RelayHead } from "../messages/requests.js";
import { checkLookup, checkRequestOptions } from "../request/checks.js";
import { checkTag } from "../request/tenant.js";
import { credentialsKey } from "./answer-copies.js";
import type { Mailbox } from "./mailbox.js";
import type { Question, Shadow, ShadowedHost } from "./shadow.js";
import type { SharedLookups } from "./shared-lookups.js";
import type { HostLoad } from "./slot.js";
import type { Supervisor } from "./supervisor.js";
import { TenantLoads, type TenantTag } from "./tenant-loads.js";

/** Where a host lives now. */
export interface Placement {
  readonly supervisor: Supervisor;
  readonly load: HostLoad;
}

/** `holding` and `refusing`: an operator paused the host, and requests wait or are refused meanwhile. */
export type RouteState = "open" | "holding" | "refusing" | "removed" | "closed";

/** One remote host as the gateway's thread knows it. Its handle outlives reloads, also one that removes the host and one that brings it back. */
export class Route implements ShadowedHost {
  /** Requests that were refused at the door. */
  turnedAway = 0;
  /** Asks another host too. */
  shadow: Shadow | undefined;
  /** Asks other gateways first. */
  shared: SharedLookups | undefined;

  constructor(
    readonly id: string,
    public settings: HostSettings,
    public placement: Placement,
    public state: RouteState = "open",
  ) {}

  /** @throws RelaypostError INVALID_ARGUMENT, ABORTED, MAILBOX_CLOSED, HOST_UNAVAILABLE and MAILBOX_FULL */
  lookup(kind: AddressLookupKind, value: string, options: RequestOptions | undefined): Promise<LookupAnswer> {
    const client = this.check(options);
    // Whose share of unknown recipients is watched, has every answer from the worker, who counts.
    const isWatched = client !== NO_CLIENT && this.settings.lookups?.harvest !== undefined;
    const known = isWatched ? undefined : this.known(kind, value);
    if (known !== undefined) {
      return known;
    }
    // After the look for what is known: an answer stands under a value that was checked when it was asked for.
    checkLookup(kind, value, this.settings.bareRecipients);
    const ask = (own: RequestOptions | undefined): Promise<LookupAnswer> => {
      const tag = this.tagOf(options);
      return this.admit(0, tag).lookup(this.placement.load, kind, value, client, own, tag);
    };
    const { shared } = this;
    const question = { kind, value, client, credentials: undefined };
    const answer = shared === undefined || this.state !== "open" ? ask(options) : shared.lookup(question, options, ask);
    this.shadow?.follow({ kind, value }, options, answer);
    return answer;
  }

  /** Throws as {@link lookup} does. */
  authenticate(credentials: UserCredentials, options: RequestOptions | undefined): Promise<LookupAnswer> {
    const client = this.check(options);
    const { load } = this.placement;
    const known = load.copies === undefined ? undefined : this.known("auth", credentialsKey(credentials));
    if (known !== undefined) {
      return known;
    }
    const ask = (own: RequestOptions | undefined): Promise<LookupAnswer> => {
      const tag = this.tagOf(options);
      return this.admit(0, tag).authenticate(this.placement.load, credentials, client, own, tag);
    };
    const { shared } = this;
    const isShared = shared?.takesLogins === true && this.state === "open";
    const question = { kind: "auth", value: credentials.username, client, credentials } as const;
    const answer = isShared ? shared.lookup(question, options, ask) : ask(options);
    this.shadow?.follow({ kind: "auth", credentials }, options, answer);
    return answer;
  }

  /**
   * Throws as {@link lookup} does.
   *
   * @param octets the content's length in UTF-8; 0 for a stream
   */
  relay(head: RelayHead, content: Content, octets: number, options: RequestOptions | undefined): Promise<RelayResult> {
    const client = this.check(options);
    const tag = this.tagOf(options);
    return this.admit(octets, tag).relay(this.placement.load, head, content, octets, client, options, tag);
  }

  // ShadowedHost: this host as the one that a shadow asks, or whose shadow asks

  get isBusy(): boolean {
    const { supervisor, load } = this.placement;
    const { concurrency } = this.settings;
    return this.state !== "open" || load.waiting(supervisor.mailbox.cells) >= concurrency;
  }

  get detectsCatchAll(): boolean {
    return this.settings.lookups?.detectsCatchAll === true;
  }

  async ask(question: Question, options: RequestOptions): Promise<LookupAnswer> {
    const client = this.check(options);
    const { load } = this.placement;
    const mailbox = this.admit(0);
    return question.kind === "auth"
      ? mailbox.authenticate(load, question.credentials, client, options)
      : mailbox.lookup(load, question.kind, question.value, client, options);
  }

  async forget(filter: { recipient?: string; username?: string }): Promise<number> {
    const { shared } = this;
    const drop = async (): Promise<number> => {
      const { supervisor, load } = this.placement;
      if (this.settings.cache.file !== undefined) {
        // What stands in the file is known again with the next worker.
        await supervisor.awaken();
      }
      return supervisor.ask((control) => control.forget(load.host, filter), 0);
    };
    return shared === undefined ? drop() : shared.forget(filter, drop);
  }

  /** What a copy of a cached answer says. */
  private known(kind: LookupKind, key: string): Promise<LookupAnswer> | undefined {
    const { supervisor, load } = this.placement;
    return this.state === "open" ? load.copies?.get(kind, key, supervisor.mailbox.cells.marks) : undefined;
  }

  private check(options: RequestOptions | undefined): string {
    if (options === undefined) {
      return NO_CLIENT;
    }
    const client = checkRequestOptions(options, this.id);
    checkTag(options);
    return client;
  }

  /** Whose a checked request is; undefined: nobody's, and not urgent. */
  private tagOf(options: RequestOptions | undefined): TenantTag | undefined {
    if (options === undefined || (options.tenant === undefined && options.priority === undefined)) {
      return undefined;
    }
    const { load } = this.placement;
    load.tenants ??= new TenantLoads();
    return load.tenants.tagOf(options);
  }

  /**
   * @param octets of content that would wait
   * @returns the mailbox that takes the request
   */
  private admit(octets: number, tag?: TenantTag): Mailbox {
    const { supervisor, load } = this.placement;
    const { mailbox } = supervisor;
    const { queue, queueOctets } = this.settings.limits;
    const room = queueOctets - octets;
    // Most requests find less waiting than that even when those in flight are counted too.
    const isCrowded = load.pending >= queue || load.octets > room;
    const isFull = isCrowded && (load.waiting(mailbox.cells) >= queue || load.waitingOctets(mailbox.cells) > room);
    if (isFull || this.isFullFor(tag, mailbox)) {
      // Answers that have come make room. Whom they settle may do anything, so that everything is looked at afterwards.
      mailbox.catchUp();
    }
    if (this.state !== "open") {
      this.admitUnless(this.state);
    }
    if (supervisor.isFailed) {
      throw this.refusal("HOST_UNAVAILABLE", "The host's worker thread was lost too often; it is tried again later.");
    }
    if ((isCrowded && load.waiting(mailbox.cells) >= queue) || mailbox.isFull) {
      throw this.refusal("MAILBOX_FULL", `${queue} requests wait for this host already (limits.queue).`);
    }
    if (tag !== undefined && this.isFullFor(tag, mailbox)) {
      tag.load.turnedAway++;
      const most = this.queueOf(tag.load.name);
      throw this.refusal("MAILBOX_FULL", `${most} requests of this tenant wait for this host already.`);
    }
    if (isCrowded && load.waitingOctets(mailbox.cells) > room) {
      throw this.refusal(
        "MAILBOX_FULL",
        `The contents that wait for this host would exceed ${queueOctets} octets (limits.queue-bytes).`,
      );
    }
    return mailbox;
  }

  /** Nobody's requests are those of many, and have no part of their own. */
  private isFullFor(tag: TenantTag | undefined, mailbox: Mailbox): boolean {
    if (tag === undefined || tag.load.name === "") {
      return false;
    }
    const most = this.queueOf(tag.load.name);
    // What it has on connections does not wait; where all that waits is less, so is its part.
    return tag.load.pending >= most && this.placement.load.waiting(mailbox.cells) >= most;
  }

  /** How many of a tenant's requests may wait. */
  private queueOf(tenant: string): number {
    const { limits, tenants } = this.settings;
    const own = tenants !== undefined && Object.hasOwn(tenants, tenant) ? tenants[tenant]!.queue : undefined;
    return Math.min(own ?? limits.queue, Math.max(1, Math.floor(limits.queue / 2)));
  }

  get isPaused(): boolean {
    return this.state === "holding" || this.state === "refusing";
  }

  private admitUnless(state: Exclude<RouteState, "open">): void {
    switch (state) {
      case "holding":
        return;
      case "refusing":
        throw this.refusal("HOST_UNAVAILABLE", "An operator paused this host, and its requests are refused.");
      default:
        throw this.refusal("MAILBOX_CLOSED", CLOSED_MESSAGES[state]);
    }
  }

  private refusal(code: "MAILBOX_CLOSED" | "MAILBOX_FULL" | "HOST_UNAVAILABLE", message: string): RelaypostError {
    this.turnedAway++;
    this.placement.load.failed(code);
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

  /**
   * @param shadowOf makes what asks another host too
   * @param sharedOf makes what asks other gateways first
   */
  constructor(
    private readonly shadowOf: (settings: HostSettings, former: Shadow | undefined) => Shadow | undefined,
    private readonly sharedOf: (settings: HostSettings, former: SharedLookups | undefined) => SharedLookups | undefined,
  ) {}

  /** The ids of the hosts that take requests, in the order of the configuration. */
  get ids(): string[] {
    return this.open().map((route) => route.id);
  }

  open(): Route[] {
    return [...this.routes.values()].filter((route) => route.state === "open" || route.isPaused);
  }

  /** The route of a host that is configured now. */
  find(id: string): Route | undefined {
    const route = this.routes.get(id);
    return route?.state === "removed" ? undefined : route;
  }

  /** Makes a host reachable, or reachable again. */
  add(settings: HostSettings, placement: Placement): void {
    const { id } = settings;
    let route = this.routes.get(id);
    if (route === undefined) {
      route = new Route(id, settings, placement);
      this.routes.set(id, route);
    }
    route.placement = placement;
    route.state = "open";
    this.use(route, settings);
  }

  /** A host has these settings from now on. */
  use(route: Route, settings: HostSettings): void {
    route.settings = settings;
    route.shadow = this.shadowOf(settings, route.shadow);
    route.shared = this.sharedOf(settings, route.shared);
  }

  /** The gateway is in another cluster, or in none. */
  share(): void {
    for (const route of this.routes.values()) {
      route.shared = this.sharedOf(route.settings, route.shared);
    }
  }

  /** No request gets through from now on. */
  closeAll(): void {
    for (const route of this.routes.values()) {
      route.state = "closed";
      route.shadow?.stop();
    }
  }
}
