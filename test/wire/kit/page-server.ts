/** A gateway's HTTP server with the operator's page in it. Serves the tests of relaypost/dashboard. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Dashboard } from "../../../src/dashboard/index.js";

/** Listens on a free port of loopback; paths that are not the page's are 404. */
export async function serveWith(handler: Dashboard): Promise<{ server: Server; url: string }> {
  const server = createServer(async (incoming, response) => {
    if (!(await handler(incoming, response))) {
      response.writeHead(404).end("not of the page");
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
