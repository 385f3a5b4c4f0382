/** The questions that a host can be asked, by address or with a user's credentials: the two kinds of {@link LookupRequest}. Made by actor.ts. */
import type { AddressLookupKind } from "../../src/lookup-kinds.js";
import type { Answer, UserCredentials } from "../../src/messages/contract.js";
import type { LoginTask, LookupTask } from "../wire/smtp/tasks.js";
import { LookupRequest, type TaskOwner } from "./tasks.js";

/** RCPT, VRFY or EXPN. */
export class AddressLookup extends LookupRequest implements LookupTask {
  constructor(
    owner: TaskOwner,
    key: string,
    readonly kind: AddressLookupKind,
    readonly value: string,
    client: string,
    isRefresh: boolean,
  ) {
    super(owner, key, client, isRefresh);
  }

  answered(answer: Answer, speaksOfUs: boolean): void {
    this.settle(answer, speaksOfUs);
  }

  protected requeue(): void {
    this.owner.retry(this);
  }
}

/** AUTH or AUTHENTICATE with a user's credentials. */
export class LoginLookup extends LookupRequest implements LoginTask {
  readonly kind = "auth";
  readonly #credentials: UserCredentials;

  constructor(owner: TaskOwner, key: string, credentials: UserCredentials, client: string, isRefresh: boolean) {
    super(owner, key, client, isRefresh);
    this.#credentials = credentials;
  }

  get credentials(): UserCredentials {
    return this.#credentials;
  }

  override join(slot: number, deadlineMs: number): void {
    super.join(slot, deadlineMs);
    if (this.isStarted) {
      this.owner.phases.toEnvelope(slot);
    }
  }

  /** From here on the credentials may be shown: a worker that is lost now must not be followed by another attempt. */
  protected override started(): void {
    this.forEachSlot((slot) => this.owner.phases.toEnvelope(slot));
  }

  answered(answer: Answer): void {
    this.settle(answer, false);
  }

  protected requeue(): void {
    this.owner.retry(this);
  }

  protected override toQueued(): boolean {
    this.forEachSlot((slot) => this.owner.phases.toQueued(slot));
    return true;
  }
}

export type Question = AddressLookup | LoginLookup;
