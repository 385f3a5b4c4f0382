import assert from "node:assert/strict";
import { test } from "node:test";
import { PendingLookups } from "../../../workers/host/pending-lookups.js";
import type { Question } from "../../../workers/host/questions.js";

const ask = (key: string): Question => ({ key }) as Question;

test("a question is found under its key until it is settled, and its number serves again", () => {
  const questions = new PendingLookups();
  const [a, b, c] = [ask("a"), ask("b"), ask("c")];
  questions.add(a);
  questions.add(b);
  assert.equal(questions.get("a"), a);
  assert.equal(questions.delete(a), true);
  questions.add(c);
  assert.equal(questions.get("a"), undefined);
  assert.equal(questions.has("a"), false);
  assert.equal(questions.get("b"), b);
  assert.equal(questions.get("c"), c);
  assert.equal(questions.size, 2);
  assert.deepEqual(new Set(questions.all()), new Set([b, c]));
});

test("one that stands there no more takes none away that has come in its place", () => {
  const questions = new PendingLookups();
  const [former, present] = [ask("a"), ask("a")];
  questions.add(former);
  questions.delete(former);
  questions.add(present);
  assert.equal(questions.delete(former), false);
  assert.equal(questions.get("a"), present);
});
