/** A server on a free port of loopback that ends its connections with itself. Serves hostile-redis.ts and strict-host.ts. */
import { createServer, type Server, type Socket } from "node:net";

export class TcpServer {
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async listen(serve: (socket: Socket) => void): Promise<TcpServer> {
    const server = createServer();
    const listening = new TcpServer(server);
    server.on("connection", (socket) => {
      listening.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => listening.sockets.delete(socket));
      serve(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return listening;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  /** Its connections end, without a word. */
  breakAll(): void {
    for (const socket of this.sockets) {
      socket.destroy();
    }
  }

  async close(): Promise<void> {
    this.breakAll();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
