/** A real HAProxy on loopback, from a configuration of listeners. Serves the interop tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { atEnd, freePorts, makeFolder, pathOf, untilListening } from "./sandbox.js";

/** One way through it: what it expects of clients, and what it sends to the server behind. */
interface Way {
  /** A port on 127.0.0.1. */
  readonly to: number;
  readonly bind?: "accept-proxy";
  readonly send?: "send-proxy" | "send-proxy-v2";
}

/** A running HAProxy. */
export class HaProxy<Name extends string> implements AsyncDisposable {
  private constructor(
    readonly ports: Readonly<Record<Name, number>>,
    private readonly child: ChildProcess,
    private readonly cleanups: readonly (() => void)[],
  ) {}

  /** Starts it and waits until it serves. */
  static async start<Name extends string>(ways: Readonly<Record<Name, Way>>): Promise<HaProxy<Name>> {
    const { path: folder, remove } = makeFolder("haproxy");
    const names = Object.keys(ways) as Name[];
    const free = await freePorts(names.length);
    const ports = Object.fromEntries(names.map((name, at) => [name, free[at]!])) as Record<Name, number>;
    const sections = names.map((name) => {
      const { to, bind = "", send = "" } = ways[name];
      return `listen ${name}\n  bind 127.0.0.1:${ports[name]} ${bind}\n  server it 127.0.0.1:${to} ${send}\n`;
    });
    const file = join(folder, "haproxy.cfg");
    const defaults = "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n";
    writeFileSync(file, `${defaults}${sections.join("")}`);
    const child = spawn(pathOf("haproxy") ?? "haproxy", ["-db", "-f", file], { stdio: "ignore" });
    await once(child, "spawn");
    const haproxy = new HaProxy(ports, child, [atEnd(() => child.kill("SIGTERM")), remove]);
    try {
      for (const name of names.filter((each) => ways[each].bind === undefined)) {
        await untilListening(ports[name], () => "HAProxy does not listen");
      }
    } catch (error) {
      await haproxy[Symbol.asyncDispose]();
      throw error;
    }
    return haproxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const hasExited = this.child.exitCode !== null || this.child.signalCode !== null;
    const exited = hasExited ? undefined : once(this.child, "exit");
    this.cleanups[0]?.();
    await exited;
    this.cleanups[1]?.();
  }
}
