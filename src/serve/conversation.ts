/**
 * Runs one client's session on its socket: replies in the order of requests, a bounded number of them in progress, and no reading from a
 * client that does not read its replies. Made by connections.ts; the protocol is the session's.
 */
import type { Socket } from "node:net";
import { ProtocolError } from "./input-buffer.js";
import { type Answer, Hangup, type Session } from "./session.js";

/** Unread answers past which no more requests are read. */
const MOST_UNREAD_OCTETS = 64 * 1024;

/** What the conversation tells. */
export interface ConversationEvents {
  /** The client broke the protocol, or answering failed. */
  broken(error: Error): void;
  closed(): void;
}

/** A request in work: its answer once it is there, and whether the conversation ends with it. */
interface Slot {
  answer: string | undefined;
  isLast: boolean;
}

/** One client's connection. */
export class Conversation {
  readonly #socket: Socket;
  readonly #session: Session;
  readonly #pipeline: number;
  readonly #events: ConversationEvents;
  /** In the order of the requests. */
  readonly #slots: Slot[] = [];
  /** `half`: the client has ended its half; the requests that are here are still taken. `ending`: what is in work is answered. */
  #state: "open" | "half" | "ending" | "closed" = "open";
  #isBroken = false;
  #isPaused = false;
  #isPumping = false;
  /** Answers given so far. */
  answers = 0;
  /** When the client last sent a whole request or took an answer. */
  lastProgressMs: number;

  constructor(socket: Socket, session: Session, pipeline: number, nowMs: number, events: ConversationEvents) {
    this.#socket = socket;
    this.#session = session;
    this.#pipeline = pipeline;
    this.#events = events;
    this.lastProgressMs = nowMs;
    socket.on("data", (chunk: Buffer) => {
      if (this.#state !== "open") {
        return;
      }
      session.receive(chunk);
      this.#pump();
    });
    // A client may end its half and still wait for the answers. Node tells so even while nothing is read.
    socket.on("end", () => {
      if (this.#state === "open") {
        this.#state = "half";
      }
      this.#pump();
    });
    socket.on("drain", () => this.#progressed());
    // ECONNRESET and EPIPE: the client is gone, which "close" tells.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#state = "closed";
      this.#slots.length = 0;
      events.closed();
    });
    if (session.greeting !== "") {
      socket.write(session.greeting);
    }
  }

  /** Whether an answer is being worked on: the client is not the one to wait for. */
  get isWorking(): boolean {
    return this.#slots.length > 0 && this.#socket.writableLength === 0;
  }

  /** Takes no more requests; closes when those in work are answered. */
  end(): void {
    if (this.#state === "open" || this.#state === "half") {
      this.#state = "ending";
    }
    this.#endIfDone();
  }

  /** Closes now. */
  destroy(): void {
    this.#socket.destroy();
  }

  #progressed(): void {
    this.lastProgressMs = performance.now();
    this.#pump();
  }

  /** Takes as many requests as may be in work. When it returns, no whole request is here, or nothing more is read. */
  #pump(): void {
    if (this.#isPumping) {
      return;
    }
    this.#isPumping = true;
    try {
      // Answers that are there at once make room for the next requests.
      while (this.#take()) {
        this.#flush();
      }
    } catch (error) {
      this.#break(error);
    }
    this.#isPumping = false;
    this.#flush();
    this.#setPaused(!this.#hasRoom());
  }

  /** Whether it took any, and there may be more. */
  #take(): boolean {
    let hasTaken = false;
    while (this.#isTaking && this.#hasRoom()) {
      const answer = this.#session.next();
      if (answer === undefined) {
        if (this.#state === "half") {
          this.#state = "ending";
        }
        return false;
      }
      hasTaken = true;
      this.lastProgressMs = performance.now();
      this.#await(answer);
    }
    return hasTaken;
  }

  get #isTaking(): boolean {
    return this.#state === "open" || this.#state === "half";
  }

  #hasRoom(): boolean {
    return this.#slots.length < this.#pipeline && this.#socket.writableLength < MOST_UNREAD_OCTETS;
  }

  #setPaused(isPaused: boolean): void {
    if (this.#isPaused === isPaused || this.#state !== "open") {
      return;
    }
    this.#isPaused = isPaused;
    if (isPaused) {
      this.#socket.pause();
    } else {
      this.#socket.resume();
    }
  }

  #await(answer: Answer): void {
    const slot: Slot = { answer: undefined, isLast: false };
    this.#slots.push(slot);
    if (typeof answer === "string") {
      slot.answer = answer;
      return;
    }
    answer.then(
      (text) => this.#settle(slot, text, false),
      (error: unknown) => {
        if (!(error instanceof Hangup)) {
          this.#events.broken(error instanceof Error ? error : new Error(String(error)));
        }
        this.#settle(slot, "", true);
      },
    );
  }

  #settle(slot: Slot, answer: string, isLast: boolean): void {
    if (this.#state === "closed") {
      return;
    }
    slot.answer = answer;
    slot.isLast = isLast;
    if (this.#slots[0] !== slot) {
      return;
    }
    // Room may have been made for requests that are here already.
    this.#flush();
    if (this.#isTaking) {
      this.#pump();
    }
  }

  #break(error: unknown): void {
    const reply = error instanceof ProtocolError ? error.reply : "";
    this.#events.broken(error instanceof Error ? error : new Error(String(error)));
    this.#slots.push({ answer: reply, isLast: true });
    this.#isBroken = true;
    this.#state = "ending";
  }

  /** Writes the answers that are there, up to the first that is not. */
  #flush(): void {
    let text = "";
    let count = 0;
    let isLast = false;
    for (const slot of this.#slots) {
      if (slot.answer === undefined || isLast) {
        break;
      }
      text += slot.answer;
      ({ isLast } = slot);
      count++;
    }
    this.answers += count;
    if (count > 0) {
      this.#slots.splice(0, count);
    }
    if (text !== "") {
      this.#socket.write(text);
    }
    if (isLast) {
      this.#slots.length = 0;
      this.#state = "ending";
    }
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#state !== "ending" || this.#slots.length > 0) {
      return;
    }
    if (this.#isBroken) {
      // What the client still sends is read and dropped, until it closes or is idle: a reset would take the last answer from it.
      this.#socket.resume();
      this.#socket.end();
    } else {
      // Closed both ways, so that a client with another request finds out when it writes, and asks anew.
      this.#socket.destroySoon();
    }
  }
}
