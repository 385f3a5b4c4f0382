/** What a thread is told of its hosts, whenever that changes: a thread that answers when the test says so. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostSettings } from "../../../src/config/settings.js";
import type { WorkerControl } from "../../../src/messages/control.js";
import { AssignedHosts } from "../../../src/runtime/assigned-hosts.js";
import type { WorkerThread } from "../../../src/runtime/worker-thread.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";

const LIMIT_MS = 1_000;

function make() {
  const told: string[] = [];
  const answers: (() => void)[] = [];
  const control = {
    startHosts: (hosts) => void told.push(`start ${hosts.map(({ host, isPaused }) => `${host} ${isPaused}`)}`),
    reconfigure: (host, { concurrency }: HostSettings) => void told.push(`${host} has ${concurrency} connections`),
    operate: (host, order) => void told.push(`${order} ${host}`),
  } as Pick<WorkerControl, "startHosts" | "reconfigure" | "operate">;
  const thread = {
    known: new Map(),
    paused: new Set(),
    call: (invoke: (of: typeof control) => void) => {
      invoke(control);
      return new Promise<void>((resolve) => answers.push(resolve));
    },
  } as unknown as WorkerThread;
  /** Answers every call, those included that follow. */
  const answered = async (telling: Promise<void>): Promise<void> => {
    let isDone = false;
    void telling.then(() => {
      isDone = true;
    });
    while (!isDone) {
      answers.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const hosts = new AssignedHosts(undefined, () => {});
  hosts.assign(0, smtpSettings(), undefined);
  return { hosts, thread, told, answered };
}

describe("a thread that is told of its hosts", () => {
  it("hears of a pause, of its end and of new settings that come while a call is under way", async () => {
    const { hosts, thread, told, answered } = make();
    const telling = hosts.tell(thread, LIMIT_MS);
    hosts.pause(0, true);
    hosts.change(0, smtpSettings({ concurrency: 7 }));
    await answered(telling);
    assert.deepEqual(told.splice(0), ["start 0 false", "0 has 7 connections", "pause 0"]);
    hosts.pause(0, false);
    await answered(hosts.tell(thread, LIMIT_MS));
    assert.deepEqual(told.splice(0), ["resume 0"]);
    await answered(hosts.tell(thread, LIMIT_MS));
    assert.deepEqual(told, []);
  });

  it("hears with the start that a host is paused, and nothing of who had its number before", async () => {
    const { hosts, thread, told, answered } = make();
    hosts.pause(0, true);
    await answered(hosts.tell(thread, LIMIT_MS));
    assert.deepEqual(told.splice(0), ["start 0 true"]);
    hosts.drain(0);
    thread.known.delete(0);
    hosts.drained(0);
    hosts.assign(0, smtpSettings(), undefined);
    await answered(hosts.tell(thread, LIMIT_MS));
    assert.deepEqual(told, ["start 0 false"]);
  });
});
