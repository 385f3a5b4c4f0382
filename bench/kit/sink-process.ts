/**
 * A server that takes everything, as fast as Node can: for what smtp-sink cannot do (TLS, floods of pipelined RCPT,
 * IMAP). It answers all the commands of a read in one write and never looks at content but for its end.
 */
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { Certificate } from "./certificate.js";
import { serve } from "./child.js";
import { IMAP_GREETING, ImapSession, MAIL_GREETING, MailSession } from "./sink-session.js";

/** What a sink is started with. It answers with its port. */
export interface SinkOptions {
  readonly protocol: "smtp" | "lmtp" | "imap";
  /** Absent: plain text. */
  readonly certificate?: Certificate;
}

function accept(socket: Socket, protocol: SinkOptions["protocol"]): void {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  const session = protocol === "imap" ? new ImapSession() : new MailSession(protocol === "lmtp");
  socket.write(protocol === "imap" ? IMAP_GREETING : MAIL_GREETING);
  socket.on("data", (chunk: Buffer) => {
    const replies = session.receive(chunk);
    if (replies !== "") {
      socket.write(replies, "latin1");
    }
    if (replies.endsWith("221 2.0.0 bye\r\n") || replies.startsWith("* BYE")) {
      socket.end();
    }
  });
}

let server: Server | undefined;

serve(async ({ protocol, certificate }: SinkOptions) => {
  const listener = (socket: Socket) => accept(socket, protocol);
  server = certificate === undefined ? createServer(listener) : createTlsServer(certificate, listener);
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", 4096, resolve));
  return (server.address() as { port: number }).port;
});
