/** Makes a server listen on a port or a unix socket, whichever the configuration says. Serves every listener. */
import { once } from "node:events";
import { chmod, lstat, stat, unlink } from "node:fs/promises";
import { type AddressInfo, connect, type Server } from "node:net";
import { dirname } from "node:path";
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
    const why = await reasonOf(error as NodeJS.ErrnoException, address);
    throw new Error(`cannot listen on ${describeListenAddress(address)}: ${why}`, { cause: error });
  }
}

/** What the system's word for it means here. libuv says EACCES for a unix socket whose directory is missing, even to root. */
async function reasonOf({ code, message }: NodeJS.ErrnoException, address: ListenAddress): Promise<string> {
  if (address.kind === "unix") {
    if (!["EACCES", "ENOENT", "ENOTDIR"].includes(code ?? "")) {
      return message;
    }
    const directory = dirname(address.path);
    const found = await stat(directory).catch((error: NodeJS.ErrnoException) => error.code);
    if (found === "ENOENT") {
      return `the directory ${directory} does not exist: make it first, for the user who runs this`;
    }
    if (typeof found === "object" && !found.isDirectory()) {
      return `${directory} is no directory`;
    }
    return `${message}: the user who runs this may not make files in ${directory}`;
  }
  switch (code) {
    case "EADDRINUSE":
      return `${message}: another process, or another listener of this one, has the port`;
    case "EADDRNOTAVAIL":
      return `${message}: no interface of this machine has the address`;
    case "EACCES":
      return `${message}: ports below 1024 need CAP_NET_BIND_SERVICE`;
    default:
      return message;
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
