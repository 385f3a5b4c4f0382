/** The tracing channels: what subscribers are handed, and that workers say nothing when there are none. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { type TracingChannelSubscribers, tracingChannel } from "node:diagnostics_channel";
import { after, afterEach, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type ConnectTrace, type LookupTrace, type RelayTrace, RemoteHosts } from "../../src/index.js";
import { listenImap, listenMail, type StrictServer } from "../../src/testing/index.js";

const STEPS = ["start", "end", "asyncStart", "asyncEnd", "error"] as const;

describe("tracing channels", { timeout: 30_000 }, () => {
  let server: StrictServer;
  let imap: StrictServer;
  let remotes: RemoteHosts;
  const stops: (() => void)[] = [];

  before(async () => {
    server = await listenMail({ recipients: ["ann@example.org"] });
    imap = await listenImap({ users: { ann: "very secret" } });
    const tls = { implicit: false, starttls: "disable" } as const;
    remotes = await RemoteHosts.open({
      remote: {
        out: {
          address: server.address,
          port: server.port,
          protocol: "smtp",
          lookup: true,
          limits: { requests: 1 },
          tls,
        },
        imap: {
          address: imap.address,
          port: imap.port,
          protocol: "imap",
          lookup: true,
          tls,
          auth: { "allow-plaintext": true },
        },
      },
    });
  });

  afterEach(() => {
    for (const stop of stops.splice(0)) {
      stop();
    }
  });

  after(async () => {
    await remotes?.close({ drainMs: 0 });
    await server?.close();
    await imap?.close();
  });

  function listen<T extends object>(name: string): { step: string; message: T }[] {
    const heard: { step: string; message: T }[] = [];
    const channel = tracingChannel<unknown, T>(name);
    const subscribers = Object.fromEntries(
      STEPS.map((step) => [step, (message: T) => heard.push({ step, message })]),
    ) as unknown as TracingChannelSubscribers<T>;
    channel.subscribe(subscribers);
    stops.push(() => channel.unsubscribe(subscribers));
    return heard;
  }

  const stepsOf = (heard: { step: string }[]) => heard.map(({ step }) => step);

  it("surround a relay, with its result", async () => {
    const heard = listen<RelayTrace>("relaypost:relay");
    const result = await remotes.host("out").relay({ from: "", to: ["ann@example.org", "eve@example.org"] }, "x\r\n");
    assert.deepEqual(stepsOf(heard), ["start", "end", "asyncStart", "asyncEnd"]);
    const { message } = heard[0]!;
    assert.ok(
      heard.every((each) => each.message === message),
      "one object all the way",
    );
    assert.deepEqual({ ...message }, { hostId: "out", kind: "relay", recipients: 2, result });
  });

  it("surround a lookup, and tell its error", async () => {
    const heard = listen<LookupTrace>("relaypost:lookup");
    await remotes.host("out").verifyRecipient("eve@example.org");
    await assert.rejects(remotes.host("out").verifyRecipient("no address"));
    assert.deepEqual(stepsOf(heard), [
      "start",
      "end",
      "asyncStart",
      "asyncEnd",
      "start",
      "end",
      "error",
      "asyncStart",
      "asyncEnd",
    ]);
    assert.equal(heard[0]!.message.result?.found, false);
    assert.equal((heard[4]!.message.error as { code: string }).code, "INVALID_ARGUMENT");
    assert.equal(heard[4]!.message.value, "no address");
  });

  it("never hold a secret", async () => {
    const heard = listen<LookupTrace>("relaypost:lookup");
    await remotes.host("imap").authenticate({ username: "ann", secret: "very secret" });
    assert.equal(heard[0]!.message.value, "ann");
    assert.ok(!JSON.stringify(heard).includes("very secret"));
  });

  it("tell of connections, those that fail too", async () => {
    const heard = listen<ConnectTrace>("relaypost:connect");
    await remotes
      .host("out")
      .verify("ann@example.org")
      .catch(() => {});
    const [good] = heard;
    assert.equal(good?.step, "start");
    assert.equal(good?.message.hostId, "out");
    assert.ok(good!.message.durationMs >= 0);
    assert.equal(good?.message.error, undefined);
    server.refuse();
    heard.length = 0;
    await assert.rejects(remotes.host("out").verifyRecipient("new@example.org"));
    server.accept();
    assert.deepEqual(stepsOf(heard), ["start", "end", "error", "asyncStart", "asyncEnd"]);
    assert.equal((heard[0]!.message.error as { code: string }).code, "CONNECT_FAILED");
  });

  it("make spans in the OpenTelemetry example", async () => {
    const root = fileURLToPath(new URL("../../../", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ["examples/opentelemetry.mjs"], { cwd: root });
    assert.deepEqual(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.replace(/ \{.*\}/, "").trim()),
      ["relaypost connect", "relaypost rcpt", "relaypost rcpt", "relaypost relay", "relaypost relay INVALID_ARGUMENT"],
    );
  });
});
