/** `relaypost top` and `relaypost ctl` on a daemon with a sick host of every cause: they say what was broken; top lives in a real terminal (tmux). */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { causesOf, SICK_HOSTS } from "../kit/sick-hosts.js";
import { ACCOUNT_SECRET, SickWard } from "../kit/sick-ward.js";
import { RECIPIENT_DOMAIN } from "../kit/ward.js";
import { WardDaemon } from "../kit/ward-daemon.js";
import { CLI, CONTROL, relaypost } from "./kit/command.js";
import { topSays, whySays } from "./kit/faces.js";

describe("an operator's terminal", { timeout: 180_000 }, () => {
  let house: WardDaemon<SickWard>;
  let control: string;
  /** An operator stops the host that is idle: what is said then is a cause of its own. */
  const stopped = { cause: "paused" as const, ...SICK_HOSTS.paused };

  before(async () => {
    house = await WardDaemon.open(await SickWard.open(), CONTROL);
    control = join(house.ward.folder, "control");
    await house.sicken();
    assert.deepEqual(
      house.ward.patients.map(({ cause }) => cause).sort(),
      causesOf("ward").sort(),
      "no cause is left out",
    );
    for (const patient of house.ward.patients.filter(({ cause }) => cause === "idle")) {
      await whySays(control, patient);
    }
    assert.equal((await relaypost("ctl", "--socket", control, "pause", stopped.id, "--for", "1h")).code, 0);
  });

  after(() => house?.[Symbol.asyncDispose]());

  it("top --once says of each sick host what was broken, from the socket and from the page's address", async () => {
    for (const at of [control, house.url]) {
      const { code } = await relaypost("top", at, "--once");
      assert.equal(code, 1, "some host is down");
      // It says nothing of hosts that are well.
      const sick = house.ward.patients.filter(({ cause }) => cause !== "healthy" && cause !== "idle");
      await topSays(at, [...sick, stopped]);
    }
  });

  it("ctl why says the same of one host, and nothing that it should not", async () => {
    for (const patient of [...house.ward.patients.filter(({ cause }) => cause !== "idle"), stopped]) {
      const [{ stdout }] = await Promise.all([
        relaypost("ctl", "--socket", control, "--json", "why", patient.id),
        whySays(control, patient),
      ]);
      assert.ok(!stdout.includes(ACCOUNT_SECRET) && !stdout.includes(RECIPIENT_DOMAIN), patient.cause);
    }
  });

  it("top --json is one value a host", async () => {
    const { stdout } = await relaypost("top", control, "--json");
    const ids = stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { id: string }).id);
    assert.deepEqual(
      ids,
      house.ward.patients.map(({ id }) => id),
      "in the order of the configuration",
    );
  });

  it("top lives in a terminal: it moves, fits, and leaves everything as it was at q", async () => {
    const session = `relaypost-${process.pid}`;
    const tmux = (...words: string[]) => spawnSync("tmux", ["-L", session, ...words], { encoding: "utf8" }).stdout;
    const screen = () => tmux("capture-pane", "-p", "-t", session);
    const until = async (pattern: RegExp, not = /$^/): Promise<string> => {
      for (;;) {
        const text = screen();
        if (pattern.test(text) && !not.test(text)) {
          return text;
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    tmux("-f", "/dev/null", "new-session", "-d", "-s", session, "-x", "100", "-y", "30", "sh");
    try {
      tmux("send-keys", "-t", session, `echo before; ${process.execPath} ${CLI} top ${control}`, "Enter");
      const first = await until(/relaypost {2}\d+ down[\s\S]*gone {8}unreachable/);
      assert.ok(first.split("\n").every((line) => line.length <= 100));
      const clock = /\d+:\d\d:\d\d/.exec(first)![0];
      await until(/relaypost {2}\d+ down/, new RegExp(clock));
      tmux("send-keys", "-t", session, "q");
      assert.match(await until(/before/, /down/), /before/);
    } finally {
      tmux("kill-server");
    }
  });
});
