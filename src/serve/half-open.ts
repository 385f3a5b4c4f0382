/**
 * Clients that end their side of the connection and wait for the last replies: Exim sends QUIT right behind a message, and then the end
 * of its stream. smtp-server tells nothing to those, and would wait for more of those that end without QUIT or inside a message. Serves
 * gateway.ts.
 */
import type { SMTPServer } from "smtp-server";

/** One client of smtp-server, which does not export the type. */
export type Connection = SMTPServer["connections"] extends Set<infer One> ? One : never;

/**
 * The client is answered as long as it reads, and the connection is closed when everything that it has sent is answered. To be called
 * again behind STARTTLS, which begins another stream; twice is no harm. The sockets must be `allowHalfOpen`.
 */
export function answerToTheEnd(connection: Connection): void {
  const { _parser: parser, _socket: socket } = connection;
  // smtp-server writes to a socket whose state is "open"; one whose peer has ended its side is "writeOnly".
  Object.defineProperty(socket, "readyState", {
    get: () => (socket.writable ? "open" : "closed"),
    configurable: true,
  });
  if (parser !== false) {
    parser.once("finish", () => connection.close());
  }
}
