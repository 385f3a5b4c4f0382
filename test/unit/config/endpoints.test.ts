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

  const ONE = { address: "one.example.org", port: 24 };
  const mistakes: readonly [what: string, host: object, expected: RegExp][] = [
    ["no entry", { address: [] }, /address must be an array of tables/],
    ["backups only", { address: [{ ...ONE, backup: true }] }, /holds backups only/],
    ["one address twice", { address: [ONE, ONE] }, /address\[1\] is there already/],
    ["no port anywhere", { address: [ONE, { address: "two.example.org" }] }, /address\[1\]\.port is missing/],
    ["a port of a socket", { address: [ONE, { address: "unix:/a", port: 1 }] }, /no meaning for a unix socket/],
    ["a weight of 0", { address: [{ ...ONE, weight: 0 }] }, /weight must be an integer from 1 to 1000/],
    ["an unknown key", { address: [{ ...ONE, wieght: 2 }] }, /wieght is unknown; known here are address, port/],
    ["a name that is none", { address: [{ address: "a b", port: 1 }] }, /address\[0\]\.address must be a host name/],
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
