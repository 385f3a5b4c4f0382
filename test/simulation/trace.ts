/** What happened in a run, line by line: its hash says whether two runs were equal, its lines show one of them. */
import { createHash } from "node:crypto";
import type { VirtualTime } from "./virtual-time.js";

export class Trace {
  private readonly lines: string[] = [];

  constructor(private readonly time: VirtualTime) {}

  add(who: string, what: string): void {
    this.lines.push(`${this.time.nowMs.toFixed(3).padStart(11)}  ${who.padEnd(4)} ${what}`);
  }

  get text(): string {
    return this.lines.join("\n");
  }

  get hash(): string {
    return createHash("sha256").update(this.text).digest("hex");
  }
}
