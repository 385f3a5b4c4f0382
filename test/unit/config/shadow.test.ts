/** `remote.<id>.shadow`: its defaults, and which pairs of hosts are a mistake. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostInput } from "../../../src/config/input.js";
import { loadSettings } from "../../../src/config/load.js";
import type { ConfigError } from "../../../src/errors.js";

type Shadow = Partial<NonNullable<HostInput["shadow"]>>;
type Hosts = Record<string, Partial<Omit<HostInput, "shadow">> & { shadow?: Shadow }>;

function load(hosts: Hosts) {
  const remote: Record<string, HostInput> = {};
  for (const [id, host] of Object.entries(hosts)) {
    remote[id] = { address: "localhost", port: 25, protocol: "smtp", lookup: true, ...host } as HostInput;
  }
  return loadSettings({ remote });
}

async function problemsOf(hosts: Hosts): Promise<string[]> {
  const error = await load(hosts).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error === undefined ? [] : (error as ConfigError).problems.map(({ key, message }) => `${key} ${message}`);
}

describe("remote.<id>.shadow", () => {
  it("asks about a tenth of the recipients and names nobody, where nothing else is said", async () => {
    const { hosts } = await load({ new: { shadow: { host: "old" } }, old: {} });
    assert.deepEqual(hosts.get("new")?.shadow, { host: "old", share: 0.1, kinds: ["rcpt"], addresses: false });
    assert.equal(hosts.get("old")?.shadow, undefined);
  });

  const mistakes: readonly [what: string, hosts: Hosts, expected: readonly RegExp[]][] = [
    ["an unknown host", { new: { shadow: { host: "odl" } }, old: {} }, [/shadow\.host must be .*did you mean old\?/]],
    ["the host itself", { new: { shadow: { host: "new" } } }, [/shadow\.host leads to this host itself/]],
    [
      "a circle",
      { a: { shadow: { host: "b" } }, b: { shadow: { host: "c" } }, c: { shadow: { host: "a" } } },
      [/^remote\.a.* a circle: a, b, c, a;/, /^remote\.b/, /^remote\.c/],
    ],
    [
      "hosts that may not be used for lookups",
      { new: { lookup: false, shadow: { host: "old" } }, old: { lookup: false } },
      [/needs remote\.new\.lookup = true/, /needs remote\.old\.lookup = true/],
    ],
    [
      "a kind that the other host cannot be asked",
      { new: { shadow: { host: "old", kinds: ["rcpt", "auth"] } }, old: { protocol: "imap" } },
      [/shadow\.kinds holds "rcpt", which remote\.old cannot be asked, as it is an IMAP host/],
    ],
    [
      "a kind that this host cannot be asked",
      { new: { protocol: "imap", shadow: { host: "old" } }, old: {} },
      [/holds "rcpt", which remote\.new cannot be asked/],
    ],
    [
      "bare recipients that the other host does not take",
      { new: { protocol: "lmtp", "bare-recipients": true, shadow: { host: "old" } }, old: { protocol: "lmtp" } },
      [/takes no bare recipients/],
    ],
    ["an unknown kind", { new: { shadow: { host: "old", kinds: ["data" as "rcpt"] } }, old: {} }, [/"rcpt", "auth"/]],
    ["a share above all", { new: { shadow: { host: "old", share: 1.1 } }, old: {} }, [/a number from 0 to 1,/]],
    ["a share of nobody", { new: { shadow: { share: 0.5 } } }, [/shadow\.share needs shadow\.host beside it/]],
  ];
  for (const [what, hosts, expected] of mistakes) {
    it(`refuses ${what}`, async () => {
      const problems = await problemsOf(hosts);
      assert.equal(problems.length, expected.length, problems.join("\n"));
      for (const [at, pattern] of expected.entries()) {
        assert.match(problems[at]!, pattern);
      }
    });
  }

  it("may lead on: a shadow's questions have no shadow of their own", async () => {
    assert.deepEqual(await problemsOf({ a: { shadow: { host: "b" } }, b: { shadow: { host: "c" } }, c: {} }), []);
  });
});
