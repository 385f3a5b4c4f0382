/** One start of a program that relays one message: argv has the contender and the port. Tells its CPU time and memory when the message is delivered. */
import { once } from "node:events";
import { connect } from "node:net";

const [contender, port] = process.argv.slice(2);
const ENVELOPE = { from: "a@sender.example", to: "b@sink.example" };
const MESSAGE = "Subject: first\r\n\r\nHello\r\n";

const CLIENTS: Record<string, (port: number) => Promise<void>> = {
  async relaypost(port) {
    const { RemoteHosts } = await import("relaypost");
    const tls = { implicit: false, starttls: "disable" } as const;
    const runtime = { hostname: "client.example" };
    const remotes = await RemoteHosts.open({
      runtime,
      remote: { sink: { address: "127.0.0.1", port, protocol: "smtp", tls } },
    });
    await remotes.host("sink").relay(ENVELOPE, MESSAGE);
  },
  async nodemailer(port) {
    const { createTransport } = await import("nodemailer");
    const transport = createTransport({ pool: true, host: "127.0.0.1", port, ignoreTLS: true });
    await transport.sendMail({ envelope: ENVELOPE, raw: MESSAGE });
  },
  async limit(port) {
    const socket = connect(port, "127.0.0.1");
    const content = `${MESSAGE}.\r\n`;
    for (const line of [
      "EHLO client.example\r\n",
      "MAIL FROM:<>\r\n",
      "RCPT TO:<b@sink.example>\r\n",
      "DATA\r\n",
      content,
    ]) {
      await once(socket, "data");
      socket.write(line);
    }
    await once(socket, "data");
  },
};

await CLIENTS[contender!]!(Number(port));
const { user, system } = process.cpuUsage();
const rssOctets = process.resourceUsage().maxRSS * 1024;
process.stdout.write(JSON.stringify({ cpuMicros: user + system, rssOctets }), () => process.exit());
