/** What those who have clients of their own tell of them: the adapters for smtp-server and Haraka, and the policy listener. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { clientOf } from "../../../src/adapters/haraka-client.js";
import { type GatewaySession, smtpServerHandlers } from "../../../src/adapters/smtp-server.js";
import type { LookupAnswer, RequestOptions } from "../../../src/api.js";
import type { RemoteHost } from "../../../src/remote-hosts.js";
import type { Maps } from "../../../src/serve/maps.js";
import { PolicySession } from "../../../src/serve/policy.js";
import type { PolicySettings } from "../../../src/serve/settings.js";

const FOUND: LookupAnswer = { found: true, values: [], source: "remote", ageMs: 0, certainty: "verified" };

const SESSION: GatewaySession = {
  id: "7x",
  transmissionType: "ESMTPSA",
  remoteAddress: "::ffff:192.0.2.1",
  remotePort: 1025,
  localAddress: "192.0.2.25",
  localPort: 25,
  clientHostname: "[192.0.2.1]",
  hostNameAppearsAs: "a b\r\n",
  user: "ann",
  envelope: { mailFrom: false, rcptTo: [] },
};

describe("the smtp-server adapter", () => {
  const asked: (RequestOptions | undefined)[] = [];
  const host = {
    checkRecipient: async (_address: string, options?: RequestOptions) => {
      asked.push(options);
      return FOUND;
    },
    authenticate: async (_credentials: unknown, options?: RequestOptions) => {
      asked.push(options);
      return FOUND;
    },
  } as unknown as RemoteHost;
  const { onRcptTo, onAuth } = smtpServerHandlers({ recipients: host, users: host });
  const client = {
    address: "192.0.2.1",
    port: 1025,
    login: "ann",
    protocol: "ESMTP",
    session: "7x",
    local: { address: "192.0.2.25", port: 25 },
  };

  test("names the client, and leaves out what it says of itself and does not fit", async () => {
    await new Promise((resolve) => onRcptTo!({ address: "u@example.org" }, SESSION, resolve));
    await new Promise((resolve) => onAuth!({ method: "PLAIN", username: "u", password: "s" }, SESSION, resolve));
    assert.deepEqual(
      asked.map((options) => options?.client),
      [client, client],
    );
  });

  test("names nobody where the address is not known", async () => {
    asked.length = 0;
    const { remoteAddress: _, ...local } = SESSION;
    await new Promise((resolve) => onRcptTo!({ address: "u@example.org" }, local, resolve));
    assert.deepEqual(asked, [{ timeoutMs: 60_000 }]);
  });
});

describe("the Haraka adapter", () => {
  test("names the client, and leaves out what Haraka does not know", () => {
    const connection = {
      uuid: "AB-1",
      remote: { ip: "192.0.2.1", port: 1025, host: "mx.example.org" },
      local: { ip: "192.0.2.25", port: 25 },
      hello: { host: "client.example", verb: "EHLO" },
      notes: { auth_user: "ann" },
    };
    const known = { session: "AB-1", local: { address: "192.0.2.25", port: 25 } };
    assert.deepEqual(clientOf(connection).client, {
      ...{ address: "192.0.2.1", port: 1025, name: "mx.example.org", helo: "client.example" },
      ...{ login: "ann", protocol: "ESMTP", ...known },
    });
    const unknown = { ...connection, remote: { ip: "192.0.2.1", port: null, host: "NXDOMAIN" }, hello: {}, notes: {} };
    assert.deepEqual(clientOf(unknown).client, { address: "192.0.2.1", ...known });
    assert.deepEqual(clientOf({ notes: {}, remote: { ip: null } }), {});
  });
});

describe("the policy listener", () => {
  const ask = async (lines: readonly string[]): Promise<RequestOptions> => {
    let options: RequestOptions | undefined;
    const maps = {
      ask: async (_map: string, _key: string, _value: string, given: RequestOptions) => {
        options = given;
        return { kind: "found", value: "DUNNO" };
      },
    } as unknown as Maps;
    const settings = {
      ask: { kind: "host", id: "lmtp" },
      timeoutMs: 1000,
      requestOctets: 10_000,
      lineOctets: 1000,
    } as unknown as PolicySettings;
    const session = new PolicySession(settings, {
      maps,
      rules: () => assert.fail("no rules are asked"),
      tellFailure: (_host, error) => assert.fail(String(error)),
      tellAnswer: undefined,
    });
    session.receive(
      Buffer.from(["request=smtpd_access_policy", "recipient=u@example.org", ...lines, "", ""].join("\n")),
    );
    assert.equal(await session.next(), "action=DUNNO\n\n");
    return options!;
  };

  test("names the client that Postfix names", async () => {
    const lines = [
      "client_address=2001:db8::1",
      "client_port=1025",
      "client_name=mx.example.org",
      "helo_name=[1.2.3.4]",
    ];
    const more = ["sasl_username=ann", "instance=1a.2b", "server_address=192.0.2.25", "server_port=25"];
    assert.deepEqual((await ask([...lines, ...more])).client, {
      address: "2001:db8::1",
      port: 1025,
      name: "mx.example.org",
      helo: "[1.2.3.4]",
      login: "ann",
      session: "1a.2b",
      local: { address: "192.0.2.25", port: 25 },
    });
  });

  test("names nobody where Postfix has nobody", async () => {
    assert.deepEqual(await ask(["client_address=unknown", "client_name=unknown"]), { timeoutMs: 1000 });
  });
});
