/** Dovecot's submission service, which takes messages from whoever logs in and relays them. Serves the interop tests of accounts. */
import { listenMail, type StrictServer } from "../../../src/testing/index.js";
import { Dovecot, MECHANISMS } from "./dovecot.js";
import { freePorts, untilListening } from "./sandbox.js";

/** A Dovecot with it, and the server that it relays to. */
export class Submission implements AsyncDisposable {
  private constructor(
    readonly dovecot: Dovecot,
    /** What it has relayed stands in the ledger. */
    readonly behind: StrictServer,
    readonly port: number,
  ) {}

  /** @param more lines of its configuration */
  static async start(options: { introspectionUrl?: string; mechanisms?: readonly string[]; more?: string } = {}) {
    const behind = await listenMail();
    const [port] = (await freePorts(1)) as [number];
    const { mechanisms = MECHANISMS, more = "", ...others } = options;
    try {
      const dovecot = await Dovecot.start({
        ...others,
        mechanisms,
        more: `${configuration(port, behind.port)}${more}`,
      });
      await untilListening(port, () => dovecot.log);
      return new Submission(dovecot, behind, port);
    } catch (error) {
      await behind.close();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dovecot.stop();
    await this.behind.close();
  }
}

function configuration(port: number, relayPort: number): string {
  return `
protocols = imap lmtp submission
submission_relay_host = 127.0.0.1
submission_relay_port = ${relayPort}
service submission-login {
  inet_listener submission {
    address = 127.0.0.1
    port = ${port}
  }
}
`;
}
