/** For each test of a file anew: a Redis, a host, and the gateways that share them, which end with the test. Serves the cluster's tests. */
import { afterEach, beforeEach } from "node:test";
import type { ConfigInput, HostInput } from "../../../src/config/input.js";
import { type OpenOptions, RemoteHosts } from "../../../src/index.js";
import { GatewayProcess } from "./gateways.js";
import { RedisServer } from "./redis-server.js";

interface StageHost {
  readonly port: number;
  close(): Promise<void>;
}

export class Stage<Host extends StageHost> {
  /** There during a test. */
  redis!: RedisServer;
  host!: Host;
  private ends: (() => Promise<unknown>)[] = [];

  private constructor(private readonly startHost: () => Promise<Host>) {}

  /** To be called where a file's tests are described. */
  static forEachTest<Host extends StageHost>(startHost: () => Promise<Host>): Stage<Host> {
    const stage = new Stage(startHost);
    beforeEach(() => stage.begin());
    afterEach(() => stage.end());
    return stage;
  }

  /** `remote.<id>` of the host: LMTP in the clear. */
  lmtp(settings: Partial<HostInput>): HostInput {
    const { port } = this.host;
    const tls = { implicit: false, starttls: "disable" } as const;
    return { address: "127.0.0.1", port, protocol: "lmtp", tls, ...settings };
  }

  /** A gateway in this process. */
  async open(config: ConfigInput, options?: OpenOptions): Promise<RemoteHosts> {
    const remotes = await RemoteHosts.open(config, options);
    this.ends.push(() => remotes.close({ drainMs: 0 }));
    return remotes;
  }

  /** A gateway in a process of its own, which relays `parallel` messages at a time. */
  start(config: ConfigInput, parallel: number): GatewayProcess {
    const gateway = GatewayProcess.start({ config, parallel });
    this.ends.push(() => gateway.kill());
    return gateway;
  }

  private async begin(): Promise<void> {
    this.redis = await RedisServer.start();
    this.host = await this.startHost();
  }

  private async end(): Promise<void> {
    await Promise.all(this.ends.splice(0).map((end) => end()));
    await this.host.close();
    await this.redis.close();
  }
}
