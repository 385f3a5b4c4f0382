/**
 * A recipient that is deferred without a reply: the message was sent to others, and the rest of it could not be begun. Whoever hands
 * results on to somebody calls that a temporary failure, in words, and neither a success nor a refusal.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, before, describe, it } from "node:test";
import { createTransport } from "nodemailer";
import { pino } from "pino";
import { type HarakaConnection, type HarakaPlugin, relaypost_queue } from "../../../src/adapters/haraka.js";
import { relaypostTransport, type SendError } from "../../../src/adapters/nodemailer.js";
import { smtpServerHandlers } from "../../../src/adapters/smtp-server.js";
import { type RelayResult, RemoteHosts } from "../../../src/index.js";
import { repliesOf, replyOfAll } from "../../../src/serve/verdict.js";
import { listenMail, type StrictServer } from "../../../src/testing/index.js";
import { relaypost } from "../../cli/command-line.js";

const FROM = "me@example.org";
/** The first one is refused in a transaction of its own; the second one's never comes to a reply. */
const TO = ["refused@example.org", "lost@example.org"];
const CONTENT = "Subject: hi\r\n\r\nhi\r\n";

describe("a recipient that is deferred without a reply", { timeout: 30_000 }, () => {
  let server: StrictServer;
  let remotes: RemoteHosts;
  let folder: string;
  let file: string;

  before(async () => {
    server = await listenMail({
      overrides: [
        { on: "RCPT", match: /^RCPT TO:<refused@/, reply: "550 5.1.1 nobody" },
        { on: "RCPT", match: /^RCPT TO:<lost@/, times: Number.POSITIVE_INFINITY, afterwards: "close" },
      ],
    });
    folder = mkdtempSync(join(tmpdir(), "relaypost-"));
    file = join(folder, "hosts.toml");
    writeFileSync(
      file,
      `[remote.out]
address = "127.0.0.1"
port = ${server.port}
protocol = "smtp"
tls = { implicit = false, starttls = "disable" }
limits = { recipients = 1 }
`,
    );
    remotes = await RemoteHosts.open(file, { logger: pino({ level: "silent" }) });
  });

  after(async () => {
    await remotes?.close({ drainMs: 0 });
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const relay = (): Promise<RelayResult> => remotes.host("out").relay({ from: FROM, to: TO }, CONTENT);

  it("is what relay() says", async () => {
    const { recipients } = await relay();
    assert.deepEqual(
      recipients.map(({ status, reply }) => [status, reply?.code]),
      [
        ["refused", 550],
        ["deferred", undefined],
      ],
    );
  });

  it("is told to the gateway's clients as 451, by SMTP and by LMTP", async () => {
    const result = await relay();
    const words = "4.4.1 not sent to this recipient yet, try again later";
    assert.deepEqual(replyOfAll(result), { code: 451, text: words });
    assert.deepEqual(repliesOf(result)[1], { code: 451, text: words });
  });

  it("is told to nodemailer's callers as an error that is not permanent", async () => {
    const transport = createTransport(relaypostTransport(remotes.host("out")));
    const error = await transport.sendMail({ from: FROM, to: TO, text: "hi" }).then(
      () => assert.fail("it was sent"),
      (failure: SendError) => failure,
    );
    assert.equal(error.permanent, false);
    assert.equal(error.code, "ECONNECTION");
    assert.match(error.message, /^Not sent to lost@example\.org: .*another try may reach them$/);
    assert.deepEqual(
      error.rejectedErrors?.map(({ recipient, permanent }) => [recipient, permanent]),
      [
        [TO[0], true],
        [TO[1], false],
      ],
    );
  });

  it("is told to smtp-server's clients as 451", async () => {
    const { onData } = smtpServerHandlers({ relay: remotes.host("out") });
    const stream = Object.assign(new PassThrough(), { sizeExceeded: false });
    stream.end(CONTENT);
    const envelope = { mailFrom: { address: FROM }, rcptTo: TO.map((address) => ({ address })) };
    const session = { id: "1", transmissionType: "ESMTP", envelope };
    const error = await new Promise<(Error & { responseCode?: number }) | null | undefined>((resolve) => {
      onData!(stream as never, session as never, resolve);
    });
    assert.equal(error?.responseCode, 451);
    assert.match(error.message, /4\.4\.1 Not sent to this recipient yet/);
  });

  it("is told to Haraka as DENYSOFT", async () => {
    const plugin = {
      name: "relaypost",
      timeout: 30,
      relaypost: { config: { main: { queue: "out" } }, remotes: Promise.resolve(remotes) },
      logerror: assert.fail,
    } as unknown as HarakaPlugin;
    const message = new PassThrough();
    message.end(CONTENT);
    const connection = {
      uuid: "1",
      remote: {},
      local: {},
      hello: {},
      notes: {},
      transaction: {
        mail_from: { address: FROM },
        rcpt_to: TO.map((address) => ({ address })),
        notes: { get: () => undefined },
        message_stream: message,
      },
      logerror: assert.fail,
    } as unknown as HarakaConnection;
    const [code, words] = await new Promise<[number | undefined, unknown]>((resolve) => {
      relaypost_queue.call(plugin, (...outcome: unknown[]) => resolve(outcome as never), connection);
    });
    assert.equal(code, 903);
    assert.match(String(words), /^4\.4\.1 Not sent to this recipient yet/);
  });

  it("ends relaypost relay with 75, and is not said to have been delivered, perhaps", async () => {
    const { code, stdout } = await relaypost(
      ["relay", file, "out", "--from", FROM, ...TO.flatMap((address) => ["--to", address])],
      CONTENT,
    );
    assert.equal(code, 75);
    assert.match(stdout, /^deferred +lost@example\.org +- +not sent; another try may help$/m);
  });
});
