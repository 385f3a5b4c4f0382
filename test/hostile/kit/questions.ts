/** Scripts of peers that are asked, and the questions. Serves the tests of hostile peers. */
import assert from "node:assert/strict";
import type { RemoteHost } from "../../../src/index.js";
import { expect, reply, type Script, type ScriptedPeer } from "../../../src/testing/index.js";
import { type HostileCase, outcomeOf, type Scene } from "./ground.js";
import { welcome } from "./lines.js";

export const rcpt: NonNullable<HostileCase["ask"]> = (host) => host.verifyRecipient("a@y.example");

export const vrfy: NonNullable<HostileCase["ask"]> = (host) => host.verify("a@y.example");

export const expn: NonNullable<HostileCase["ask"]> = (host) => host.expand("staff");

/** Answers every command of the kind it is asked for, however they are grouped, until the client is gone. */
export function answering(answer: (line: string) => string | undefined): Script {
  return async (peer: ScriptedPeer) => {
    while (!peer.hasEnded || peer.unread.length > 0) {
      const line = await peer.line().catch(() => undefined);
      if (line === undefined || line === "QUIT") {
        return;
      }
      const said = answer(line);
      if (said === undefined) {
        assert.fail(`unexpected: ${line}`);
      }
      await peer.reply(said);
    }
  };
}

/** One probe: MAIL and RCPT, each with its reply. */
export const probed = (scene: Scene, mail: string, ...rest: Script[]): Script => [
  welcome(scene),
  expect("MAIL FROM:<>"),
  reply(mail),
  ...rest,
];

/** MAIL, and so many recipients that are refused. */
export const refusing = (count: number): Script => [
  expect("MAIL FROM:<>"),
  reply("250 ok"),
  ...Array.from({ length: count }, (): Script => [expect(/^RCPT/), reply("550 5.1.1 no")]),
];

/** Asks about one unknown recipient after the other. */
export async function askEach(host: RemoteHost, outcomes: readonly string[]): Promise<{ found: boolean }> {
  const words: string[] = [];
  for (const at of outcomes.keys()) {
    words.push((await outcomeOf(host.verifyRecipient(`u${at}@y.example`))).word);
  }
  assert.deepEqual(words, outcomes);
  return { found: false };
}
