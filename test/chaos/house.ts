/** One server of a run with its troubles: a strict judge whose every transaction goes to the ledger, and who counts connections. */
import {
  type Certificate,
  type Order,
  ScriptError,
  type ScriptedPeer,
  ScriptedServer,
  type StrictService,
  strictImapService,
  strictMailService,
} from "../../src/testing/index.js";
import { readProxied, strangersAt, strangersIn } from "./clients.js";
import { ACCOUNT, ATTRIBUTES, type ChaosHost, USERS } from "./hosts.js";
import type { ChaosLedger } from "./ledger.js";
import type { Mischief } from "./mischief.js";
import { countEstablished } from "./sockets.js";

export class House {
  /** Most connections at the same time. */
  peak = 0;
  /** There are two clients, each with its own `concurrency`: connections are not counted any more. */
  hasSecondClient = false;
  private readonly open = new Set<ScriptedPeer>();
  private refusals = 0;
  private hangs = 0;
  /** Those who came while it hangs, to be greeted afterwards. */
  private readonly atDoor = new Set<() => void>();
  private accepting = Promise.resolve();
  private readonly judge: StrictService;
  private server!: ScriptedServer;
  /** Ends what goes on for a while. */
  private readonly endings = new Set<() => void>();

  private constructor(
    private readonly host: ChaosHost,
    private readonly ledger: ChaosLedger,
    certificate: Certificate,
  ) {
    this.judge = makeJudge(host, certificate);
    this.judge.ledger.onTransaction = (transaction) => {
      this.judge.ledger.transactions.length = 0;
      ledger.enter(host.id, transaction);
      this.holdClients(strangersIn(transaction, host));
      if (transaction.recipients.length > (host.most?.recipients ?? Number.POSITIVE_INFINITY)) {
        ledger.breach(
          "a transaction has no more recipients than it may",
          `${host.id}: ${transaction.recipients.length} from <${transaction.from}>`,
        );
      }
    };
  }

  static async build(host: ChaosHost, ledger: ChaosLedger, certificate: Certificate): Promise<House> {
    const house = new House(host, ledger, certificate);
    house.server = await ScriptedServer.listen((peer: ScriptedPeer) => house.serve(peer));
    return house;
  }

  get port(): number {
    return this.server.port;
  }

  /** Connections that stand now. */
  get standing(): number {
    return this.open.size;
  }

  begin(mischief: Mischief): void {
    switch (mischief.kind) {
      case "reset":
        for (const peer of this.open) {
          peer.reset();
        }
        return;
      case "cut":
        for (const peer of this.open) {
          peer.destroy();
        }
        return;
      case "refuse":
      case "restart":
        this.refusals++;
        this.server.refuse();
        if (mischief.kind === "restart") {
          for (const peer of this.open) {
            peer.destroy();
          }
        }
        this.lasts(mischief.forMs, () => {
          this.refusals--;
          if (this.refusals === 0) {
            this.accepting = this.accepting.then(() => this.server.accept());
          }
        });
        return;
      case "hang":
        this.hang(mischief.forMs);
        return;
      case "stall":
        this.stall(mischief.stages, mischief.forMs);
        return;
      case "order":
        this.lasts(mischief.forMs, this.judge.order(mischief.order));
    }
  }

  /** All is well from now on. */
  calm(): void {
    for (const end of this.endings) {
      end();
    }
  }

  /** What clients send meanwhile stays with the kernel, and is read when it goes on: their ends too. */
  private hang(forMs: number): void {
    this.hangs++;
    for (const peer of this.open) {
      peer.stopReading();
    }
    this.lasts(forMs, () => {
      this.hangs--;
      if (this.hangs > 0) {
        return;
      }
      for (const peer of this.open) {
        peer.resumeReading();
      }
      for (const enter of this.atDoor) {
        enter();
      }
      this.atDoor.clear();
    });
  }

  private stall(stages: readonly string[], forMs: number): void {
    let release!: () => void;
    const waitFor = new Promise<void>((resolve) => {
      release = resolve;
    });
    const withdrawals = stages.map((on) => this.judge.order({ on, waitFor } satisfies Order));
    this.lasts(forMs, () => {
      for (const withdraw of withdrawals) {
        withdraw();
      }
      release();
    });
  }

  private lasts(forMs: number, end: () => void): void {
    const once = (): void => {
      if (!this.endings.delete(once)) {
        return;
      }
      clearTimeout(timer);
      end();
    };
    const timer = setTimeout(once, forMs);
    this.endings.add(once);
  }

  private async serve(peer: ScriptedPeer): Promise<void> {
    this.open.add(peer);
    void peer.ended.then(() => this.open.delete(peer));
    this.countSoon();
    if (this.hangs > 0) {
      peer.stopReading();
      await new Promise<void>((resolve) => this.atDoor.add(resolve));
    }
    let client: string | undefined;
    if (this.host.client === "proxy-v2") {
      try {
        client = await readProxied(peer);
      } catch (error) {
        if (error instanceof ScriptError) {
          // It ended within its header.
          peer.destroy();
          return;
        }
        throw error;
      }
    }
    const served = this.judge.script(peer);
    // What the judge cannot know: the header is read before him.
    this.judge.ledger.connections.at(-1)!.client = client;
    await served;
    this.forget(peer.id);
  }

  /** What was asked in another client's name than its own. */
  private holdClients(strangers: readonly string[]): void {
    for (const stranger of strangers) {
      this.ledger.breach("each request is told as its own client's", `${this.host.id}: ${stranger}`);
    }
  }

  /** A FIN that came before this connection may be read after it: the count is taken when this batch of events is through, and asks in `sockets.ts`. */
  private countSoon(): void {
    setImmediate(() =>
      setImmediate(() => {
        const { concurrency, id } = this.host;
        if (this.open.size <= this.peak || this.hasSecondClient) {
          return;
        }
        const standing =
          this.open.size > concurrency ? Math.min(this.open.size, countEstablished(this.port)) : this.open.size;
        this.peak = Math.max(this.peak, standing);
        if (standing > concurrency) {
          this.ledger.breach("concurrency is never exceeded", `${id}: ${standing} connections, ${this.describeOpen()}`);
        }
      }),
    );
  }

  private describeOpen(): string {
    return [...this.open]
      .map((peer) => `#${peer.id} ${peer.receivedOctets} octets${peer.isClosed ? " closed" : ""}`)
      .join(", ");
  }

  private forget(number: number): void {
    const { connections } = this.judge.ledger;
    const at = connections.findIndex((connection) => connection.number === number);
    const [record] = connections.splice(at, 1);
    if (record !== undefined) {
      this.holdClients(strangersAt(record, this.host));
    }
    for (const violation of record?.violations ?? []) {
      this.ledger.breach("a strict server has nothing to object to", `${this.host.id}: ${violation}`);
    }
  }
}

function makeJudge({ protocol, isSecure, client, most }: ChaosHost, certificate: Certificate): StrictService {
  if (protocol === "imap") {
    return strictImapService({ users: USERS, extraCapabilities: ["ID"] });
  }
  return strictMailService({
    protocol,
    keep: "digest",
    capabilities: {
      chunking: isSecure,
      size: isSecure,
      ...(client === "xclient" || client === "xforward" ? { [client]: ATTRIBUTES[client] } : {}),
      extra: most?.by === "host" ? [`LIMITS RCPTMAX=${most.recipients}`] : [],
    },
    recipients: (address) => !address.startsWith("no"),
    mailboxes: { yes: "<yes@chaos.example>" },
    lists: { yes: ["<yes@chaos.example>", "<also@chaos.example>"] },
    users: { ...USERS, [ACCOUNT.username]: ACCOUNT.secret },
    ...(isSecure ? { startTls: certificate, requireAuth: false } : {}),
  });
}
