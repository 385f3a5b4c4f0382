/** An array of addresses: what an entry leaves out, and what is a mistake in it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostInput } from "../../../src/config/input.js";
import { loadSettings } from "../../../src/config/load.js";
import type { HostSettings } from "../../../src/config/settings.js";
import type { ConfigError } from "../../../src/errors.js";

async function read(host: object): Promise<HostSettings> {
  const { hosts } = await loadSettings({ remote: { x: { protocol: "lmtp", ...host } as HostInput } });
  return hosts.get("x")!;
}

async function problemsOf(host: object): Promise<string[]> {
  const error = await read(host).then(
    () => undefined,
    (reason: unknown) => reason as ConfigError,
  );
  return error?.problems.map(({ key, message }) => `${key} ${message}`) ?? [];
}

describe("an array of addresses", () => {
  it("takes from the host what an entry leaves out", async () => {
    const { address, port, endpoints, concurrencyPerAddress, tls } = await read({
      address: [
        { address: "one.example.org" },
        { address: "[2001:db8::1]", port: 2424, weight: 3, "server-name": "two.example.org" },
        { address: "unix:/run/lmtp", backup: true },
      ],
      port: 24,
      "concurrency-per-address": 4,
    });
    assert.deepEqual(
      [address, port, tls.serverName, concurrencyPerAddress],
      ["one.example.org", 24, "one.example.org", 4],
    );
    assert.deepEqual(endpoints, [
      { address: "one.example.org", port: 24, serverName: "one.example.org", weight: 1, backup: false },
      { address: "2001:db8::1", port: 2424, serverName: "two.example.org", weight: 3, backup: false },
      {
        address: "unix:/run/lmtp",
        port: 0,
        socketPath: "/run/lmtp",
        serverName: "localhost",
        weight: 1,
        backup: true,
      },
    ]);
    assert.equal(tls.implicit, true, "not all of them are sockets of this machine");
  });

  it("of one entry is that address", async () => {
    const { address, port, endpoints } = await read({ address: [{ address: "one.example.org", port: 24 }] });
    assert.deepEqual([address, port, endpoints], ["one.example.org", 24, undefined]);
  });

  it("of unix sockets alone needs no TLS", async () => {
    const { tls, allowPlaintextAuth } = await read({ address: [{ address: "unix:/a" }, { address: "unix:/b" }] });
    assert.deepEqual([tls.implicit, tls.startTls, allowPlaintextAuth], [false, "disable", true]);
  });

  it("may be in SRV records, for certificates of their domain, asked of other DNS servers", async () => {
    const runtime = { "dns-servers": ["127.0.0.1:8600", "2001:db8::53", "[2001:db8::53]:5353"] };
    const store: HostInput = { address: "srv:_lmtp._tcp.example.org.", protocol: "lmtp", "concurrency-per-address": 2 };
    const { hosts } = await loadSettings({ runtime, remote: { store } });
    const { address, port, service, tls, endpoints } = hosts.get("store")!;
    assert.deepEqual(
      [address, port, tls.serverName, endpoints],
      ["srv:_lmtp._tcp.example.org.", 0, "example.org", undefined],
    );
    assert.deepEqual(service, { name: "_lmtp._tcp.example.org", servers: runtime["dns-servers"] });
    const own = await read({ address: "srv:_lmtp._tcp.example.org", tls: { "server-name": "store.example.org" } });
    assert.deepEqual([own.tls.serverName, own.service], ["store.example.org", { name: "_lmtp._tcp.example.org" }]);
  });

  it("names DNS servers by their IP addresses", async () => {
    for (const server of ["dns.example.org", "127.0.0.1:0", "127.0.0.1:65536", "", "[::1"]) {
      await assert.rejects(loadSettings({ runtime: { "dns-servers": [server] }, remote: {} }), /must be IP addresses/);
    }
  });

  const ONE = { address: "one.example.org", port: 24 };
  const TWO = [ONE, { ...ONE, address: "two.example.org" }];
  const mistakes: readonly [what: string, host: object, expected: RegExp][] = [
    ["no entry", { address: [] }, /address must be an array of tables/],
    ["backups only", { address: [{ ...ONE, backup: true }] }, /holds backups only/],
    ["one address twice", { address: [ONE, ONE] }, /address\[1\] is there already/],
    ["no port anywhere", { address: [ONE, { address: "two.example.org" }] }, /address\[1\]\.port is missing/],
    ["a port of a socket", { address: [ONE, { address: "unix:/a", port: 1 }] }, /no meaning for a unix socket/],
    ["a weight of 0", { address: [{ ...ONE, weight: 0 }] }, /weight must be an integer from 1 to 1000/],
    ["an unknown key", { address: [{ ...ONE, wieght: 2 }] }, /wieght is unknown; known here are address, port/],
    ["a name that is none", { address: [{ address: "a b", port: 1 }] }, /address\[0\]\.address must be a host name/],
    ["stickiness to one address", { ...ONE, sticky: "recipient" }, /sticky needs an array of several addresses/],
    ["stickiness of logins", { address: TWO, protocol: "imap", sticky: "recipient" }, /for SMTP and LMTP hosts only/],
    [
      "stickiness of clients",
      { address: TWO, client: "proxy-v2", sticky: "recipient" },
      /each connection is for one client/,
    ],
    [
      "a port beside SRV records",
      { address: "srv:_lmtp._tcp.example.org", port: 24 },
      /port has no meaning beside SRV/,
    ],
    ["SRV records of no service", { address: "srv:example.org", port: 24 }, /SRV records, such as "srv:_lmtp/],
    [
      "SRV records in an array",
      { address: [{ ...ONE, address: "srv:_a._tcp.b" }, ONE] },
      /address must be a host name/,
    ],
    ["a bound for one address", { ...ONE, "concurrency-per-address": 2 }, /needs an array of several addresses/],
  ];
  for (const [what, host, expected] of mistakes) {
    it(`refuses ${what}`, async () => {
      const problems = await problemsOf(host);
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.match(problems[0]!, expected);
    });
  }
});
