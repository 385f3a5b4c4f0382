import assert from "node:assert/strict";
import { test } from "node:test";
import { ActiveWork } from "../../../../workers/wire/smtp/active-work.js";

function workOf(...items: string[]): ActiveWork<string> {
  const work = new ActiveWork<string>();
  for (const item of items) {
    work.add(item);
  }
  return work;
}

/** Who is visited while `during` changes the work. */
function visited(work: ActiveWork<string>, during: (item: string) => unknown = () => {}): string[] {
  const seen: string[] = [];
  work.some((item) => {
    seen.push(item);
    return during(item);
  });
  return seen;
}

test("a work keeps the order in which its members came, each of them once", () => {
  const work = workOf("a", "b", "a", "c");
  assert.deepEqual(visited(work), ["a", "b", "c"]);
  assert.equal(work.size, 3);
  assert.equal(work.first, "a");
});

test("whoever leaves is gone, from any place", () => {
  for (const [leaver, rest] of [
    ["a", ["b", "c"]],
    ["b", ["a", "c"]],
    ["c", ["a", "b"]],
    ["x", ["a", "b", "c"]],
  ] as const) {
    const work = workOf("a", "b", "c");
    work.delete(leaver);
    assert.deepEqual(visited(work), rest);
  }
});

test("nobody is left out or visited twice where members leave or come during the round", () => {
  for (const visit of ["a", "b", "c"]) {
    for (const leaver of ["a", "b", "c"]) {
      const work = workOf("a", "b", "c");
      const seen = visited(work, (item) => {
        if (item === visit) {
          work.delete(leaver);
        }
      });
      const isGoneBefore = leaver > visit;
      assert.deepEqual(
        seen,
        ["a", "b", "c"].filter((item) => !(isGoneBefore && item === leaver)),
        `${leaver} left during the visit of ${visit}`,
      );
    }
  }
  const work = workOf("a");
  assert.deepEqual(
    visited(work, (item) => {
      if (item === "a") {
        work.add("b");
      }
    }),
    ["a", "b"],
  );
});

test("a round ends where a visit returns true", () => {
  const work = workOf("a", "b", "c");
  assert.deepEqual(
    visited(work, (item) => item === "b"),
    ["a", "b"],
  );
});

test("taking everybody out leaves an empty work", () => {
  const work = workOf("a", "b");
  assert.deepEqual(work.takeAll(), ["a", "b"]);
  assert.equal(work.size, 0);
  assert.equal(work.first, undefined);
});
