/** The table of what becomes of a group of commands, and the group that follows it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  CommandGroup,
  GROUP_TABLE,
  type GroupEvent,
  type GroupState,
} from "../../../../workers/wire/smtp/command-group.js";

const handler = { replied: () => {} };

/** Carries out one event on a group; the number of awaited replies is arranged to fit it. */
const DO: Record<GroupEvent, (group: CommandGroup) => void> = {
  send: (group) => group.send(handler, 0, 1),
  expect: (group) => group.expect(handler, 0, 1),
  end: (group) => group.end(),
  answer: (group) => {
    group.bytesRead();
    group.take();
  },
  complete: (group) => {
    group.bytesRead();
    while (group.size > 0) {
      group.take();
    }
  },
  stray: (group) => group.strayBegun(),
};

/** A way to each state; behind it at least two replies are awaited, where any is. */
const WAYS: Record<GroupState, readonly GroupEvent[]> = {
  quiet: [],
  single: ["send", "expect"],
  pipelined: ["send", "send"],
  answering: ["send", "send", "send", "answer"],
  "single-ended": ["send", "end", "expect"],
  "pipelined-ended": ["send", "send", "end"],
  "answering-ended": ["send", "send", "send", "end", "answer"],
  stray: ["stray"],
};

function groupIn(state: GroupState): CommandGroup {
  const group = new CommandGroup();
  for (const event of WAYS[state]) {
    DO[event](group);
  }
  assert.equal(group.state, state);
  return group;
}

const STATES = Object.keys(WAYS) as GroupState[];

describe("a group of commands", () => {
  for (const state of STATES) {
    it(`goes from ${state} where its table says, whatever happens`, () => {
      for (const event of Object.keys(DO) as GroupEvent[]) {
        const group = groupIn(state);
        // Nothing can be answered where nothing is awaited.
        if ((event === "answer" || event === "complete") && group.size === 0) {
          continue;
        }
        DO[event](group);
        assert.equal(group.state, GROUP_TABLE[state][event] ?? state, event);
      }
    });
  }

  it("takes no more commands behind its last", () => {
    const ended = STATES.filter((state) => groupIn(state).isEnded);
    assert.deepEqual(ended, ["single-ended", "pipelined-ended", "answering-ended"]);
  });

  it("tells a peer that may have lost commands from one that has answered nothing, and from one that was sent only one", () => {
    assert.deepEqual(
      STATES.filter((state) => groupIn(state).mayBeLost),
      ["answering", "answering-ended"],
    );
  });

  it("takes a reply for nobody's where it came before its command left, or behind part of another", () => {
    const group = new CommandGroup();
    group.bytesRead();
    group.send(handler, 7, 1);
    assert.ok(group.isUnasked, "the command was written while these bytes were read");
    group.bytesRead();
    assert.equal(group.isUnasked, false);
    assert.equal(group.tag, 7);
    group.strayBegun();
    assert.ok(group.isUnasked);
  });
});
