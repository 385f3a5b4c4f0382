/**
 * Clients that end their side of the connection and wait for the last replies: Exim sends QUIT right behind a message, and then the end
 * of its stream. smtp-server tells nothing to those, and would wait for more of those that end without QUIT or inside a message. Serves
 * users of the smtp-server adapter, and the gateway of `serve`.
 */

/** One client of an {@link HalfOpenServer}: what of smtp-server's is looked at. */
export interface HalfOpenConnection {
  readonly session: object;
  readonly _socket: { readonly writable: boolean };
  readonly _parser: { once(event: "finish", listener: () => void): unknown } | false;
  close(): void;
}

/** What of smtp-server's server {@link answerToTheEnd} works on. */
export interface HalfOpenServer {
  readonly options: object;
  readonly connections: Iterable<HalfOpenConnection>;
  onConnect(session: object, callback: (error?: Error | null) => void): void;
  onSecure(socket: object, session: object, callback: (error?: Error | null) => void): void;
}

/**
 * Has a server of smtp-server answer its clients as long as they read, those that have ended their own side too, and close a connection
 * when everything that came over it is answered. To be called before the server listens. Its own `onConnect` and `onSecure` go on working.
 *
 * @param server made with the option `allowHalfOpen: true`
 * @returns the same server
 * @throws TypeError without that option, by which Node.js would close the connection before the reply
 */
export function answerToTheEnd<Server extends HalfOpenServer>(server: Server): Server {
  if ((server.options as { allowHalfOpen?: boolean }).allowHalfOpen !== true) {
    throw new TypeError("answerToTheEnd() needs a server that was made with the option allowHalfOpen: true");
  }
  const { onConnect, onSecure } = server;
  server.onConnect = function connected(session, callback) {
    awaitEnd(connectionOf(server, session));
    onConnect.call(server, session, callback);
  };
  // Behind STARTTLS the client's commands are another stream.
  server.onSecure = function secured(socket, session, callback) {
    awaitEnd(connectionOf(server, session));
    onSecure.call(server, socket, session, callback);
  };
  return server;
}

/** The connection of a session, which smtp-server's handlers are not told. */
export function connectionOf<Connection extends { readonly session: object }>(
  { connections }: { readonly connections: Iterable<Connection> },
  session: object,
): Connection | undefined {
  for (const connection of connections) {
    if (connection.session === session) {
      return connection;
    }
  }
  return undefined;
}

/** Twice is no harm. */
function awaitEnd(connection: HalfOpenConnection | undefined): void {
  if (connection === undefined) {
    return;
  }
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
