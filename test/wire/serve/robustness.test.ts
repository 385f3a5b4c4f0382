/** Clients that misbehave, on every listener: they are closed with a word in the log, they cost little, and others are served. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { netstring } from "../../../src/serve/netstring.js";
import { type Client, House } from "./kit/house.js";

const CLIENTS = 40;

const TABLES = `
[serve.map]
protocol = "socketmap"
listen = "127.0.0.1:0"
limits = { clients = ${CLIENTS}, idle = "1500ms", request = "1KiB", pipeline = 7 }

[serve.table]
protocol = "tcp-table"
listen = "127.0.0.1:0"
map = "lmtp-rcpt"
limits = { clients = ${CLIENTS}, idle = "1500ms", request = "1KiB" }

[serve.policy]
protocol = "policy"
listen = "127.0.0.1:0"
host = "lmtp"
limits = { clients = ${CLIENTS}, idle = "1500ms", request = "1KiB" }

[serve.sasl]
protocol = "dovecot-auth"
listen = "127.0.0.1:0"
host = "imap"
limits = { clients = ${CLIENTS}, idle = "1500ms", request = "1KiB" }

[serve.gateway]
protocol = "smtp"
listen = "127.0.0.1:0"
host = "lmtp"
limits = { clients = ${CLIENTS}, idle = "1500ms", line = "1KiB" }

[serve.http]
protocol = "http"
listen = "127.0.0.1:0"
limits = { clients = ${CLIENTS}, idle = "1500ms" }
`;

const attributes = "request=smtpd_access_policy\nrecipient=ann@example.org\n\n";

/** For each listener: a request, the end of its answer, and octets that break the protocol. */
const LISTENERS: Record<
  string,
  { readonly request: string; readonly end: RegExp; readonly broken: readonly string[] }
> = {
  map: {
    request: netstring("lmtp-rcpt ann@example.org"),
    end: /5:OK OK,/,
    broken: ["5:abc", "x", "99999999:", "2:abc,"].map((each) => each.padEnd(30, "z")),
  },
  table: { request: "get ann@example.org\n", end: /200 OK\n/, broken: ["x".repeat(2000)] },
  policy: {
    request: attributes,
    end: /action=DUNNO\n\n/,
    broken: ["x".repeat(2000), "no equals sign\n", "request=other\n\n", "a=b\n".repeat(1000)],
  },
  sasl: { request: "CANCEL\t1\n", end: /DONE\n/, broken: ["x".repeat(2000), "VERSION\t9\t9\n", "AUTH\n"] },
  gateway: { request: "NOOP\r\n", end: /250 OK\r\n/, broken: ["x".repeat(2000)] },
  http: {
    request: "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    end: /\r\n\r\nok\n/,
    broken: ["x".repeat(40_000), "GET\r\n\r\n"],
  },
};

describe("the daemon", { timeout: 60_000 }, () => {
  let house: House;

  before(async () => {
    house = await House.open(TABLES);
  });

  after(() => house[Symbol.asyncDispose]());

  const isServed = async (name: string): Promise<void> => {
    const { request, end } = LISTENERS[name]!;
    using client = house.connect(name);
    if (name === "gateway") {
      await client.until(/^220 .*\r\n/m);
    }
    await client.say(request).until(end);
  };

  const gone = async (client: Client): Promise<void> => {
    if (!client.socket.destroyed && !client.socket.readableEnded) {
      await client.rest();
    }
  };

  for (const [name, { broken, request, end }] of Object.entries(LISTENERS)) {
    it(`closes clients of ${name} that break the protocol, and serves others`, async () => {
      for (const bytes of broken) {
        using other = house.connect(name);
        using client = house.connect(name);
        if (name === "gateway") {
          await Promise.all([client, other].map((each) => each.until(/^220 .*\r\n/m)));
        }
        await gone(client.say(bytes));
        await other.say(request).until(end);
      }
    });

    it(`turns away clients of ${name} past the limit, and serves the others`, async () => {
      const clients: Client[] = [];
      for (let count = 0; count < 2 * CLIENTS; count++) {
        clients.push(house.connect(name));
      }
      // Idle ones are closed in time too: whoever is here at all was within the limit.
      await Promise.all(clients.map(gone));
      for (const client of clients) {
        client.socket.destroy();
      }
      await isServed(name);
    });
  }

  it("says in its log what it did, once for many", async () => {
    const countOf = (event: string, listener: string) =>
      house.records.filter((record) => record.event === event && record.listener === listener).length;
    const isFew = (count: number) => count >= 1 && count < CLIENTS / 4;
    for (const name of ["map", "table", "policy", "sasl"]) {
      assert.ok(isFew(countOf("serve-client-broken", name)), name);
    }
    for (const name of Object.keys(LISTENERS)) {
      assert.ok(isFew(countOf("serve-clients-limit", name)), name);
    }
  });

  it("answers pipelined requests in their order, and those before a FIN", async () => {
    using client = house.connect("map");
    const keys = Array.from({ length: 200 }, (_, at) => (at % 3 === 0 ? "ann@example.org" : `nobody${at}@example.org`));
    client.socket.end(keys.map((key) => netstring(`lmtp-rcpt ${key}`)).join(""));
    const expected = keys.map((key) => netstring(key.startsWith("ann") ? "OK OK" : "NOTFOUND ")).join("");
    assert.equal(await client.rest(), expected);
  });

  it("answers everything that came in one piece, though each answer is there at once", async () => {
    using client = house.connect("table");
    client.socket.end("a\n".repeat(5000));
    assert.equal((await client.rest()).split("\n").length, 5001);
  });

  it("reads no more from a client that does not read, and closes it in the end", async () => {
    // Short requests with long answers: the kernel's buffers are soon full.
    for (const [name, request] of [
      ["map", "1:a,"],
      ["table", "a\n"],
    ] as const) {
      using client = house.connect(name);
      client.socket.pause();
      const closed = new Promise((resolve) => client.socket.once("close", resolve));
      const part = request.repeat(Math.ceil(65_536 / request.length));
      const parts = 300;
      let taken = 0;
      for (let count = 0; count < parts; count++) {
        client.socket.write(part, (error) => {
          if (!error) {
            taken++;
          }
        });
      }
      await isServed(name);
      // Paused, the client does not see the end: an error on writing tells.
      await closed;
      assert.ok(taken < parts, `${name} took everything`);
      await isServed(name);
    }
  });
});
