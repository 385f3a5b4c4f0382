/** What an operator is told of hosts that several gateways share, with a real Redis: on the page, by `top` and by `ctl`. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ClusterWard } from "../kit/cluster-ward.js";
import { causesOf, SICK_HOSTS } from "../kit/sick-hosts.js";
import type { Patient } from "../kit/ward.js";
import { WardDaemon } from "../kit/ward-daemon.js";
import { TestBrowser } from "./kit/browser.js";
import { CONTROL } from "./kit/command.js";
import { pageSays, topSays, whySays } from "./kit/faces.js";

describe("an operator of several gateways", { timeout: 180_000 }, () => {
  let house: WardDaemon<ClusterWard>;
  let browser: TestBrowser;
  const patientOf = (cause: Patient["cause"]) => house.ward.patients.find((patient) => patient.cause === cause)!;

  before(async () => {
    [house, browser] = await Promise.all([WardDaemon.open(await ClusterWard.open(), CONTROL), TestBrowser.launch()]);
    house.begin();
  });

  after(async () => {
    await browser?.[Symbol.asyncDispose]();
    await house?.[Symbol.asyncDispose]();
  });

  async function isToldOf(patient: Patient): Promise<void> {
    await house.diagnosed([patient]);
    const control = join(house.ward.folder, "control");
    const { page } = await browser.open(`${house.url}/#${patient.id}`);
    await pageSays(page, patient);
    await topSays(control, [patient]);
    await topSays(house.url, [patient]);
    await whySays(control, patient);
  }

  it("is told that requests wait for a place of the cluster, and then that Redis is cut off", async () => {
    assert.deepEqual(house.ward.patients.map(({ cause }) => cause).sort(), causesOf("cluster").sort());
    await isToldOf(patientOf("waiting-for-place"));
    await house.ward.cutOff();
    await isToldOf(patientOf("cluster-lost"));
    // Where requests wait it is more than worth knowing.
    const { id } = SICK_HOSTS["waiting-for-place"];
    const { page } = await browser.open(house.url);
    await page.locator(`.degraded[data-host="${id}"][data-cause="cluster-lost"]`).waitFor({ timeout: 20_000 });
  });
});
