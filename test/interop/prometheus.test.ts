/** What comes along for Prometheus and Grafana, held to a running daemon: promtool accepts the rules and the metrics, and each metric that is asked for exists. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { CAUSES } from "../../src/operator/causes.js";
import { House } from "../wire/serve/kit/house.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const ALERTS = join(ROOT, "examples/prometheus/alerts.yml");
const DASHBOARD = join(ROOT, "examples/grafana/relaypost.json");
const RUNBOOK = readFileSync(join(ROOT, "docs/runbook.md"), "utf8");

const HTTP = `
[serve.http]
protocol = "http"
listen = "127.0.0.1:0"
`;

function metricsIn(text: string): string[] {
  return [...new Set(text.match(/\brelaypost_[a-z_]+/g))];
}

function promtool(words: readonly string[], input?: string): string {
  const { status, stdout, stderr, error } = spawnSync("promtool", words, { input, encoding: "utf8" });
  assert.equal(error, undefined);
  assert.equal(status, 0, `${stdout}${stderr}`);
  return stdout;
}

const isThere = spawnSync("promtool", ["--version"]).error === undefined;
const skip = !isThere && process.env.RELAYPOST_INTEROP !== "required" && "promtool is not installed";

describe("Prometheus and Grafana", { skip, timeout: 60_000 }, () => {
  let house: House;
  let metrics: string;

  before(async () => {
    house = await House.open(HTTP);
    const address = house.address("http");
    assert.equal(address.kind, "tcp");
    const url = `http://127.0.0.1:${address.kind === "tcp" ? address.port : 0}/metrics`;
    metrics = await (await fetch(url)).text();
  });

  after(() => house?.[Symbol.asyncDispose]());

  it("promtool accepts the alerts, and the metrics of a daemon", () => {
    assert.match(promtool(["check", "rules", ALERTS]), /SUCCESS: \d+ rules found/);
    promtool(["check", "metrics"], metrics);
  });

  it("tells of an address that is down for five minutes, where the others serve", () => {
    const labels = 'instance="gw", host="store"';
    const series = (name: string, values: string) => ({ series: name, values });
    const isDown = { instance: "gw", host: "store", address: "192.0.2.1:24" };
    const description = "The other addresses of store serve its requests, with less between them and an outage.";
    const alert = {
      exp_labels: { severity: "warning", ...isDown },
      exp_annotations: {
        summary: "192.0.2.1:24 of store is down",
        description,
        runbook: "docs/runbook.md#relaypostaddressdown",
      },
    };
    const at = (eval_time: string, exp_alerts: object[]) => ({
      eval_time,
      alertname: "RelaypostAddressDown",
      exp_alerts,
    });
    const up = (address: string, values: string) =>
      series(`relaypost_address_up{${labels}, address="${address}"}`, values);
    const one = {
      interval: "1m",
      // All of it goes down in the end: that is another alert's.
      input_series: [
        up("192.0.2.1:24", "1 1 0x20"),
        up("192.0.2.2:24", "1x12 0x10"),
        series(`relaypost_circuit{${labels}, state="closed"}`, "1x12 0x10"),
      ],
      alert_rule_test: [at("6m", []), at("7m", [alert]), at("14m", [])],
    };
    // JSON is YAML, too.
    const folder = mkdtempSync(join(tmpdir(), "relaypost-alerts-"));
    try {
      const file = join(folder, "tests.yml");
      writeFileSync(file, JSON.stringify({ rule_files: [ALERTS], tests: [one] }));
      assert.match(promtool(["test", "rules", file]), /SUCCESS/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("the alerts and the dashboard ask for metrics that a daemon has", () => {
    const known = new Set(metricsIn(metrics));
    for (const file of [ALERTS, DASHBOARD]) {
      const asked = metricsIn(readFileSync(file, "utf8"));
      assert.ok(asked.length > 5, file);
      assert.deepEqual(
        asked.filter((name) => !known.has(name)),
        [],
        file,
      );
    }
  });

  it("the runbook has a section for each alert, and for each cause", () => {
    const headings = [...RUNBOOK.matchAll(/^### (.+)$/gm)].flatMap(([, heading]) => heading!.split(", "));
    const alerts = [...readFileSync(ALERTS, "utf8").matchAll(/- alert: (\w+)/g)].map(([, name]) => name!);
    assert.ok(alerts.length > 5);
    const wanted = [...alerts, ...new Set(CAUSES.map(({ cause }) => cause))];
    assert.deepEqual(
      wanted.filter((name) => !headings.includes(name)),
      [],
    );
    for (const name of alerts) {
      assert.ok(readFileSync(ALERTS, "utf8").includes(`docs/runbook.md#${name.toLowerCase()}`), name);
    }
  });
});
