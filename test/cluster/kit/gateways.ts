/** Gateways in processes of their own, to be killed and stopped. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { GatewayOrder, GatewaySurvey, GatewayTally } from "./gateway-process.js";

const PROGRAM = fileURLToPath(new URL("./gateway-process.js", import.meta.url));

export class GatewayProcess {
  tally: GatewayTally = {
    delivered: 0,
    failed: {},
    uncertain: 0,
    held: 0,
    part: 0,
    settled: [],
    lostCalls: 0,
    surveys: 0,
  };
  onTally: (tally: GatewayTally) => void = () => {};
  private waiting: (() => void)[] = [];

  private constructor(private readonly child: ChildProcess) {
    child.on("message", (tally) => {
      this.tally = tally as GatewayTally;
      this.onTally(this.tally);
      for (const check of this.waiting.splice(0)) {
        check();
      }
    });
  }

  static start(order: GatewayOrder): GatewayProcess {
    const child = fork(PROGRAM, { stdio: ["ignore", "ignore", "ignore", "ipc"] });
    child.send(order);
    return new GatewayProcess(child);
  }

  /** Lets it ask of these now, and forget nothing any more. */
  survey(addresses: readonly string[]): void {
    this.child.send({ survey: addresses } satisfies GatewaySurvey);
  }

  /** Resolves when what it tells is as wanted. */
  until(isWanted: (tally: GatewayTally) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (isWanted(this.tally)) {
          resolve();
        } else {
          this.waiting.push(check);
        }
      };
      check();
    });
  }

  /** Resolves with what it tells next. */
  next(): Promise<GatewayTally> {
    return new Promise((resolve) => this.waiting.push(() => resolve(this.tally)));
  }

  stop(): void {
    this.child.kill("SIGSTOP");
  }

  resume(): void {
    this.child.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) {
      return;
    }
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGKILL");
    await ended;
  }
}
