/** The public face: arguments are checked before anything is queued, and what is asked arrives as it was asked. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import type { Content, Credentials, Envelope, RequestOptions } from "../../src/api.js";
import { RelaypostError } from "../../src/errors.js";
import type { RemoteHost, RemoteHosts } from "../../src/remote-hosts.js";
import { openFakeHosts } from "./kit/fake-hosts.js";

function isCode(code: string, pattern = /./): (error: unknown) => boolean {
  return (error) => error instanceof RelaypostError && error.code === code && pattern.test(error.message);
}

const FROM = "from@example.org";
const TO = "to@example.org";

describe("remote hosts", () => {
  let hosts: RemoteHosts;
  let smtp: RemoteHost;
  let small: RemoteHost;

  before(async () => {
    hosts = await openFakeHosts(
      {
        smtp: {},
        imap: { protocol: "imap" },
        mute: { lookup: false },
        small: { limits: { queue: 2, "queue-bytes": 1000 } },
      },
      { threads: 2 },
    );
    smtp = hosts.host("smtp");
    small = hosts.host("small");
  });

  after(() => hosts.close({ drainMs: 0 }));

  /** The relay as it came to the worker. */
  async function relayed(envelope: Envelope, content: Content = "content"): Promise<Record<string, unknown>> {
    const { reply } = await smtp.relay(envelope, content);
    const head = /^[^{]*(\{.*\}) /s.exec(reply!.text)![1]!;
    return JSON.parse(head) as Record<string, unknown>;
  }

  describe("refuse at once, and queue nothing", () => {
    const signal = AbortSignal.abort();
    const envelopes: [name: string, envelope: unknown, pattern: RegExp][] = [
      ["no envelope", undefined, /envelope must be an object/],
      ["null", null, /envelope must be an object, not null/],
      ["no sender", { to: TO }, /from must be a string/],
      ["a sender with CRLF", { from: "a@example.org\r\nRCPT TO:<b@c>", to: TO }, /carriage return/],
      ["no recipients", { from: FROM, to: [] }, /to is empty/],
      ["an empty recipient", { from: FROM, to: "" }, /to is empty/],
      ["a recipient with NUL", { from: FROM, to: [TO, "x\0@example.org"] }, /to\[1\].*NUL/],
      ["a recipient that is no string", { from: FROM, to: [TO, 5] }, /to\[1\] must be a string/],
      ["recipients of a wrong type", { from: FROM, to: 5 }, /to must be a string or an array/],
      ["a size below 0", { from: FROM, to: TO, size: -1 }, /size/],
      ["an unknown body", { from: FROM, to: TO, body: "9bit" }, /body must be one of/],
      ["smtputf8 of a wrong type", { from: FROM, to: TO, smtputf8: "yes" }, /smtputf8 must be a boolean/],
      ["smtputf8 refused but needed", { from: "ü@example.org", to: TO, smtputf8: false }, /smtputf8 is false/],
      ["requireTls of a wrong type", { from: FROM, to: TO, requireTls: 1 }, /requireTls must be a boolean/],
      ["DSN parameters for other recipients", { from: FROM, to: TO, dsn: { recipients: [{}, {}] } }, /dsn.recipients/],
    ];
    for (const [name, envelope, pattern] of envelopes) {
      test(`an envelope: ${name}`, async () => {
        await assert.rejects(smtp.relay(envelope as Envelope, "x"), isCode("INVALID_ARGUMENT", pattern));
      });
    }

    for (const content of [undefined, null, 5, {}, ["x"], new ArrayBuffer(3)]) {
      test(`a content: ${JSON.stringify(content)}`, async () => {
        const relay = smtp.relay({ from: FROM, to: TO }, content as Content);
        await assert.rejects(relay, isCode("INVALID_ARGUMENT", /content must be/));
      });
    }

    for (const [name, options, pattern] of [
      ["a string", "5s", /options must be an object/],
      ["no time", { timeoutMs: 0 }, /timeoutMs/],
      ["a negative time", { timeoutMs: -5 }, /timeoutMs/],
      ["a time that is none", { timeoutMs: Number.NaN }, /timeoutMs/],
      ["a time as text", { timeoutMs: "5" }, /timeoutMs/],
      ["a signal that is none", { signal: {} }, /signal must be an AbortSignal/],
    ] as const) {
      test(`options: ${name}`, async () => {
        const wrong = options as unknown as RequestOptions;
        for (const request of [
          smtp.relay({ from: FROM, to: TO }, "x", wrong),
          smtp.verifyRecipient(TO, wrong),
          smtp.verify("user", wrong),
          smtp.expand("list", wrong),
          smtp.authenticate({ username: "u", secret: "s" }, wrong),
        ]) {
          await assert.rejects(request, isCode("INVALID_ARGUMENT", pattern));
        }
      });
    }

    test("a signal that was aborted before", async () => {
      await assert.rejects(smtp.verifyRecipient(TO, { signal }), isCode("ABORTED"));
      await assert.rejects(smtp.relay({ from: FROM, to: TO }, "x", { signal }), isCode("ABORTED"));
    });

    test("lookups of what no command can carry", async () => {
      await assert.rejects(smtp.verifyRecipient("a b@example.org"), isCode("INVALID_ARGUMENT"));
      await assert.rejects(smtp.verifyRecipient(5 as unknown as string), isCode("INVALID_ARGUMENT", /address/));
      await assert.rejects(smtp.verify("a\nb"), isCode("INVALID_ARGUMENT", /line feed/));
      await assert.rejects(smtp.expand(""), isCode("INVALID_ARGUMENT", /list is empty/));
      await assert.rejects(smtp.authenticate(undefined as unknown as Credentials), isCode("INVALID_ARGUMENT"));
      await assert.rejects(smtp.authenticate({ username: "u", secret: "" }), isCode("INVALID_ARGUMENT", /secret/));
      await assert.rejects(smtp.forget({ recipient: 5 as unknown as string }), isCode("INVALID_ARGUMENT"));
      await assert.rejects(smtp.forget(null as unknown as object), isCode("INVALID_ARGUMENT"));
    });

    test("what the host does not do", async () => {
      const imap = hosts.host("imap");
      await assert.rejects(imap.relay({ from: FROM, to: TO }, "x"), isCode("NOT_SUPPORTED"));
      await assert.rejects(imap.verifyRecipient(TO), isCode("NOT_SUPPORTED"));
      await assert.rejects(imap.verify("user"), isCode("NOT_SUPPORTED"));
      await assert.rejects(imap.expand("list"), isCode("NOT_SUPPORTED"));
      await assert.rejects(hosts.inList("remote/imap", TO), isCode("NOT_SUPPORTED"));
      const mute = hosts.host("mute");
      await assert.rejects(mute.verifyRecipient(TO), isCode("LOOKUP_DISABLED", /remote\.mute\.lookup/));
      await assert.rejects(mute.authenticate({ username: "u", secret: "s" }), isCode("LOOKUP_DISABLED"));
      await assert.rejects(hosts.inList("remote/mute", TO), isCode("LOOKUP_DISABLED"));
    });

    test("hosts and lists that there are not", async () => {
      assert.throws(() => hosts.host("other"), isCode("UNKNOWN_HOST", /"other"/));
      assert.throws(() => hosts.host("__proto__"), isCode("UNKNOWN_HOST"));
      await assert.rejects(hosts.inList("remote/other", TO), isCode("UNKNOWN_HOST"));
      await assert.rejects(hosts.inList("smtp", TO), isCode("INVALID_ARGUMENT", /list must be/));
      await assert.rejects(hosts.close({ drainMs: -1 }), isCode("INVALID_ARGUMENT", /drainMs/));
    });

    after(async () => {
      const { hosts: stats } = await hosts.stats();
      for (const { queued, lookups } of Object.values(stats)) {
        assert.deepEqual([queued, lookups.remote], [0, 0]);
      }
    });
  });

  describe("relay", () => {
    test("an envelope as it was given, and the size of the content", async () => {
      const envelope: Envelope = { from: "", to: [TO, "no@example.org", TO] };
      const head = await relayed(envelope, "häuser");
      assert.deepEqual(head.recipients, envelope.to);
      assert.deepEqual([head.from, head.sizeOctets, head.smtputf8, head.body], ["", 7, "unused", null]);
      const { recipients } = await smtp.relay(envelope, "x");
      assert.deepEqual(
        recipients.map(({ address, status }) => [address, status]),
        [
          [TO, "delivered"],
          ["no@example.org", "refused"],
          [TO, "delivered"],
        ],
      );
    });

    test("whether SMTPUTF8 is needed: not for domains alone, unless the caller asks for it", async () => {
      const needOf = async (from: string, to: string, smtputf8?: boolean) =>
        (await relayed({ from, to, ...(smtputf8 !== undefined && { smtputf8 }) })).smtputf8;
      assert.equal(await needOf("a@münchen.example", TO), "if-offered");
      assert.equal(await needOf(FROM, "b@bücher.example"), "if-offered");
      assert.equal(await needOf("a@münchen.example", "ü@example.org"), "required");
      assert.equal(await needOf("ü@example.org", "b@bücher.example"), "required");
      assert.equal(await needOf("a@münchen.example", TO, true), "required");
      assert.equal(await needOf(FROM, "b@\u200e.example"), "required", "no domain by UTS 46");
    });

    test("every parameter", async () => {
      const head = await relayed({
        from: FROM,
        to: "ü@example.org",
        size: 5,
        body: "7bit",
        requireTls: true,
        dsn: { ret: "hdrs", envid: "a+b", recipients: [{ notify: ["success", "delay"], orcpt: "rfc822;a=b@c" }] },
      });
      assert.deepEqual(
        [head.sizeOctets, head.smtputf8, head.body, head.requireTls, head.ret, head.envid, head.dsn],
        [5, "required", "7bit", true, "HDRS", "a+2Bb", [{ notify: "SUCCESS,DELAY", orcpt: "rfc822;a+3Db@c" }]],
      );
    });

    test("what the caller changes afterwards changes nothing", async () => {
      const to = [TO];
      const content = Buffer.from("before");
      const result = smtp.relay({ from: FROM, to }, content);
      to.push("late@example.org");
      content.write("after!");
      const { reply, recipients } = await result;
      assert.equal(recipients.length, 1);
      assert.match(reply!.text, /before$/);
    });

    for (const [name, content, expected] of [
      ["a string", "x".repeat(1_000_000), /^parts \d+: 1000000 /],
      ["octets", new Uint8Array(1_000_000).fill(120), /^parts 4: 1000000 /],
      ["a small view on a large buffer", Buffer.alloc(1_000_000, "x").subarray(5, 9), /^inline: 4 .* xxxx$/],
      [
        "a Readable",
        () => Readable.from([Buffer.from("xx"), Buffer.from("y")]),
        /^parts 1: 3 .*"sizeOctets":-1.* xxy$/,
      ],
      ["a generator", () => letters(), /^parts 1: 2 .* ab$/],
      ["nothing", "", /^inline: 0 /],
    ] as const) {
      test(`${name}`, async () => {
        const { reply } = await smtp.relay({ from: FROM, to: TO }, typeof content === "function" ? content() : content);
        assert.match(reply!.text, expected);
      });
    }

    test("a stream of 20 MiB arrives whole, many at the same time", async () => {
      async function* source(): AsyncGenerator<Uint8Array> {
        for (let index = 0; index < 320; index++) {
          yield Buffer.alloc(65_536, index);
        }
      }
      const results = ["thirsty@example.org", "x@example.org", "thirsty2@example.org"].map((to) =>
        smtp.relay({ from: FROM, to }, source()),
      );
      for (const { reply } of await Promise.all(results)) {
        assert.match(reply!.text, /^parts \d+: 20971520 /);
      }
    });

    test("a stream that throws: CONTENT_FAILED, and the error is the cause", async () => {
      const error = new Error("torn");
      async function* source(): AsyncGenerator<Uint8Array> {
        yield Buffer.from("x");
        throw error;
      }
      await assert.rejects(
        smtp.relay({ from: FROM, to: TO }, source()),
        (failure) => isCode("CONTENT_FAILED")(failure) && (failure as Error).cause === error,
      );
    });
  });

  describe("answer lookups", () => {
    test("of every kind", async () => {
      const ok = { code: 250, enhanced: "2.1.5", text: "Ok" };
      assert.deepEqual(await smtp.verifyRecipient(TO), {
        found: true,
        values: [],
        source: "remote",
        ageMs: 7,
        reply: ok,
        certainty: "unknown",
      });
      assert.equal((await smtp.verifyRecipient("no@example.org")).found, false);
      assert.deepEqual((await smtp.expand("staff")).values, ["a@example.org", "b@example.org"]);
      assert.deepEqual((await smtp.verify("user")).values, ["mail.example.org"]);
      assert.equal((await hosts.host("imap").authenticate({ username: "u", secret: "right" })).found, true);
      assert.equal((await smtp.authenticate({ username: "u", accessToken: "right" })).found, false);
      assert.equal(await hosts.inList("remote/smtp", TO), true);
      assert.equal(await hosts.inList("remote/smtp", "no@example.org"), false);
      assert.equal(await smtp.forget(), 1);
      assert.equal(await smtp.forget({ recipient: TO }), 2);
    });

    test("with an error that names the host where there is no answer", async () => {
      await assert.rejects(smtp.verifyRecipient("fail@example.org"), (error) => {
        assert.ok(isCode("CONNECT_FAILED")(error));
        const { hostId, retryable, scope, cause } = error as RelaypostError;
        assert.deepEqual(
          [hostId, retryable, scope, String(cause)],
          ["smtp", true, "connection", "Error: ECONNREFUSED"],
        );
        return true;
      });
    });

    test("with the deadline passed on", async () => {
      const { ageMs } = await smtp.verifyRecipient(TO, { timeoutMs: 5000 });
      assert.ok(ageMs <= 5000);
      await assert.rejects(smtp.verifyRecipient("hold@example.org", { timeoutMs: 1 }), isCode("DEADLINE_EXCEEDED"));
      await smtp.verifyRecipient(TO, { timeoutMs: Number.POSITIVE_INFINITY });
    });
  });

  describe("limit what waits", () => {
    test("by count: those in flight do not count", async () => {
      const held = [small.verifyRecipient("hold-in-flight@example.org"), small.verifyRecipient("hold@example.org")];
      // The worker has seen them by the time it answers this.
      while ((await hosts.stats()).hosts.small!.queued < 2) {}
      held.push(small.verifyRecipient("hold2@example.org"));
      await assert.rejects(small.verifyRecipient(TO), isCode("MAILBOX_FULL", /limits.queue/));
      await assert.rejects(small.relay({ from: FROM, to: TO }, "x"), isCode("MAILBOX_FULL"));
      assert.ok((await smtp.verifyRecipient(TO)).found, "others have their own");
      await hosts.reload(reloadInput(5));
      await small.verifyRecipient("release@example.org");
      await Promise.all(held);
      await hosts.reload(reloadInput(2));
    });

    test("by octets, and a refused stream is left alone", async () => {
      const stay = small.relay({ from: FROM, to: "stay@example.org" }, "x".repeat(900));
      await assert.rejects(small.relay({ from: FROM, to: TO }, "x".repeat(101)), isCode("MAILBOX_FULL", /queue-bytes/));
      const inTime = small.relay({ from: FROM, to: "stay@example.org" }, "x".repeat(100));
      const source = Readable.from(["x"]);
      await assert.rejects(small.relay({ from: FROM, to: TO }, source), isCode("MAILBOX_FULL"));
      assert.equal(source.destroyed, false);
      await hosts.reload(reloadInput(9));
      await small.verifyRecipient("release@example.org");
      await Promise.all([stay, inTime]);
    });
  });

  function reloadInput(queue: number) {
    const host = { address: "mail.example.org", port: 25, protocol: "smtp", lookup: true } as const;
    return {
      runtime: { threads: 2 },
      remote: {
        smtp: host,
        imap: { ...host, protocol: "imap" as const },
        mute: { ...host, lookup: false },
        small: { ...host, limits: { queue, "queue-bytes": 1000 } },
      },
    };
  }
});

async function* letters(): AsyncGenerator<Uint8Array> {
  yield "a" as unknown as Uint8Array;
  yield Buffer.from("b");
}
