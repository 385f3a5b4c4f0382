import assert from "node:assert/strict";
import { test } from "node:test";
import { Roster } from "../../../workers/wire/smtp/active-work.js";

function rosterOf(...items: string[]): Roster<string> {
  const roster = new Roster<string>();
  for (const item of items) roster.add(item);
  return roster;
}

/** Who is visited while `during` changes the roster. */
function visited(roster: Roster<string>, during: (item: string) => unknown = () => {}): string[] {
  const seen: string[] = [];
  roster.some((item) => {
    seen.push(item);
    return during(item);
  });
  return seen;
}

test("a roster keeps the order in which its members came, each of them once", () => {
  const roster = rosterOf("a", "b", "a", "c");
  assert.deepEqual(visited(roster), ["a", "b", "c"]);
  assert.equal(roster.size, 3);
  assert.equal(roster.first, "a");
});

test("whoever leaves is gone, from any place", () => {
  for (const [leaver, rest] of [
    ["a", ["b", "c"]],
    ["b", ["a", "c"]],
    ["c", ["a", "b"]],
    ["x", ["a", "b", "c"]],
  ] as const) {
    const roster = rosterOf("a", "b", "c");
    roster.delete(leaver);
    assert.deepEqual(visited(roster), rest);
  }
});

test("nobody is left out or visited twice where members leave or come during the round", () => {
  for (const visit of ["a", "b", "c"]) {
    for (const leaver of ["a", "b", "c"]) {
      const roster = rosterOf("a", "b", "c");
      const seen = visited(roster, (item) => {
        if (item === visit) roster.delete(leaver);
      });
      const isGoneBefore = leaver > visit;
      assert.deepEqual(
        seen,
        ["a", "b", "c"].filter((item) => !(isGoneBefore && item === leaver)),
        `${leaver} left during the visit of ${visit}`,
      );
    }
  }
  const roster = rosterOf("a");
  assert.deepEqual(
    visited(roster, (item) => {
      if (item === "a") roster.add("b");
    }),
    ["a", "b"],
  );
});

test("a round ends where a visit returns true", () => {
  const roster = rosterOf("a", "b", "c");
  assert.deepEqual(
    visited(roster, (item) => item === "b"),
    ["a", "b"],
  );
});

test("taking everybody out leaves an empty roster", () => {
  const roster = rosterOf("a", "b");
  assert.deepEqual(roster.takeAll(), ["a", "b"]);
  assert.equal(roster.size, 0);
  assert.equal(roster.first, undefined);
});
