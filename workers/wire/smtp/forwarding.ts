/** XFORWARD: what a host is told of a message's client before MAIL, so that its log and its filters can name it. Kept by the session. */
import { NO_CLIENT } from "../../../src/messages/client.js";
import type { HostLog } from "../../../src/messages/host-log.js";
import { xforwardCommands } from "./client-commands.js";
import type { ReplyView } from "./reply.js";

const NO_COMMANDS: readonly string[] = [];

/** What a session has told so far. */
export class Forwarding {
  private state: "untold" | "told" | "refused" = "untold";

  constructor(private readonly log: HostLog) {}

  /** @param advertised the attributes; undefined where the host does not offer XFORWARD */
  commandsFor(client: string, advertised: readonly string[] | undefined): readonly string[] {
    if (advertised === undefined || this.state === "refused" || (client === NO_CLIENT && this.state === "untold")) {
      return NO_COMMANDS;
    }
    this.state = "told";
    return xforwardCommands(client, advertised);
  }

  /** Where the host said no, that is no reason to keep a message, nor to go on asking. */
  answered(reply: ReplyView): void {
    if (reply.code < 400 || this.state === "refused") {
      return;
    }
    this.state = "refused";
    const { code, enhanced, text } = reply.copy();
    const message = "The host refused XFORWARD: it is not told of the clients on this connection.";
    this.log.write("warn", "client-untold", message, { code, enhanced, text });
  }
}
