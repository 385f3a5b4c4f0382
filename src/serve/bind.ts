/** Makes a server listen on a port or a unix socket, whichever the configuration says. Serves every listener. */
import { once } from "node:events";
import { chmod, lstat, unlink } from "node:fs/promises";
import { type AddressInfo, connect, type Server } from "node:net";
import { describeListenAddress, type ListenAddress } from "./listen-address.js";

/** Connections that the kernel holds until they are accepted; it has a limit of its own (net.core.somaxconn). */
const BACKLOG = 4096;

/**
 * Listens. A socket that a dead daemon left behind is replaced; one that somebody serves is not.
 *
 * @param mode of a unix socket
 * @returns where it listens: with the port that it got, where 0 was asked for
 * @throws Error that says what stands in the way
 */
export async function bind(server: Server, address: ListenAddress, mode: number): Promise<ListenAddress> {
  try {
    if (address.kind === "unix") {
      await removeStale(address.path);
      server.listen({ path: address.path, backlog: BACKLOG });
    } else {
      server.listen({ host: address.host, port: address.port, backlog: BACKLOG });
    }
    await once(server, "listening");
    if (address.kind === "tcp") {
      return { ...address, port: (server.address() as AddressInfo).port };
    }
    await chmod(address.path, mode);
    return address;
  } catch (error) {
    throw new Error(`cannot listen on ${describeListenAddress(address)}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) {
    return;
  }
  if (!found.isSocket()) {
    throw new Error("something that is no socket is there already");
  }
  const client = connect(path);
  const isServed = await once(client, "connect").then(
    () => true,
    () => false,
  );
  client.destroy();
  if (isServed) {
    throw new Error("somebody serves that socket already");
  }
  await unlink(path);
}
