/** What comes along for Prometheus and Grafana, held to a running daemon: promtool accepts the rules and the metrics, and each metric that is asked for exists. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
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
