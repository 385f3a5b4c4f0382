/** A gateway bundled by esbuild as docs/bundling.md says, run where there is no node_modules; and relaypost in CommonJS. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { RemoteHosts } from "../../src/index.js";
import { listenMail } from "../../src/testing/index.js";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

const GATEWAY = `
import { pathToFileURL } from "node:url";
import { RemoteHosts } from "relaypost";

const workerUrl = pathToFileURL(__dirname + "/host-worker.mjs");
const [port] = process.argv.slice(2);
const out = { address: "127.0.0.1", port: Number(port), protocol: "smtp", lookup: true, tls: { implicit: false, starttls: "disable" } };
RemoteHosts.open({ remote: { out } }, { workerUrl }).then(async (remotes) => {
  const { recipients } = await remotes.host("out").relay({ from: "", to: "ann@example.org" }, "Subject: bundled\\r\\n\\r\\n");
  const { found } = await remotes.host("out").verifyRecipient("eve@example.org");
  console.log(recipients[0].status, found);
  await remotes.close();
});
`;

describe("a bundled gateway", { timeout: 60_000 }, () => {
  /** Inside the package, so that its own name can be imported. */
  const inside = join(ROOT, "dist/bundle-test");
  const outside = mkdtempSync(join(tmpdir(), "relaypost-bundle-"));

  before(async () => {
    mkdirSync(inside, { recursive: true });
    writeFileSync(join(inside, "gateway.js"), GATEWAY);
    await build({
      entryPoints: { gateway: join(inside, "gateway.js"), worker: join(ROOT, "node_modules/piscina/dist/worker.js") },
      outdir: outside,
      bundle: true,
      platform: "node",
      format: "cjs",
      external: ["@napi-rs/nice"],
      // import.meta is empty in CommonJS, which relaypost knows.
      logOverride: { "empty-import-meta": "silent" },
      absWorkingDir: ROOT,
    });
    writeFileSync(join(outside, "package.json"), JSON.stringify({ type: "commonjs" }));
    copyFileSync(fileURLToPath(import.meta.resolve("relaypost/worker")), join(outside, "host-worker.mjs"));
  });

  after(() => {
    rmSync(inside, { recursive: true, force: true });
    rmSync(outside, { recursive: true, force: true });
  });

  it("runs and relays without a node_modules", async () => {
    await using server = await listenMail({ recipients: ["ann@example.org"] });
    const { stdout } = await run(process.execPath, ["gateway.js", String(server.port)], { cwd: outside });
    assert.equal(stdout, "delivered false\n");
    assert.equal(server.ledger.deliveries.length, 1);
  });

  it("is told at once where the worker's file is missing", async () => {
    const workerUrl = new URL("file:///nowhere/host-worker.mjs");
    await assert.rejects(RemoteHosts.open({ remote: {} }, { workerUrl }), {
      code: "INVALID_ARGUMENT",
      message: /file:\/\/\/nowhere\/host-worker\.mjs/,
    });
  });
});

describe("CommonJS", { timeout: 60_000 }, () => {
  it("can require every entry of the package", async () => {
    const program = `
      const { RemoteHosts } = require("relaypost");
      const { relaypostTransport } = require("relaypost/nodemailer");
      const { smtpServerHandlers } = require("relaypost/smtp-server");
      const { register } = require("relaypost/haraka");
      const { metrics } = require("relaypost/metrics");
      const { listenMail } = require("relaypost/testing");
      console.log([RemoteHosts, relaypostTransport, smtpServerHandlers, register, metrics, listenMail].map((each) => typeof each).join());`;
    const { stdout } = await run(process.execPath, ["-e", program], { cwd: ROOT });
    assert.equal(stdout.trim(), Array(6).fill("function").join());
  });
});
