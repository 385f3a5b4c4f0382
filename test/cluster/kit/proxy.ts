/** Stands between one gateway and Redis, and cuts them off. */
import { connect, createServer, type Server, type Socket } from "node:net";

export class CuttingProxy {
  private isCut = false;
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async start(port: number): Promise<CuttingProxy> {
    const server = createServer();
    const proxy = new CuttingProxy(server);
    server.on("connection", (socket) => proxy.serve(socket, port));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  /** From now on nothing comes through, and nothing says so. */
  cut(): void {
    this.isCut = true;
  }

  heal(): void {
    this.isCut = false;
    for (const socket of this.sockets) {
      socket.destroy();
    }
  }

  async close(): Promise<void> {
    this.heal();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(client: Socket, port: number): void {
    const redis = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [client, redis],
      [redis, client],
    ] as const) {
      this.sockets.add(from);
      from.on("data", (bytes) => {
        if (!this.isCut) {
          to.write(bytes);
        }
      });
      from.on("error", () => {});
      from.on("close", () => {
        this.sockets.delete(from);
        to.destroy();
      });
    }
  }
}
