import assert from "node:assert/strict";
import { it } from "node:test";
import { plotMultiples } from "../../../bench/kit/plot.js";
import type { Row } from "../../../bench/kit/rounds.js";

function row(cell: string, contender: string, perSecond: number): Row {
  return { cell, contender, perSecond, rounds: [perSecond] } as unknown as Row;
}

it("draws multiples of one contender's rate, and leaves out what was not measured", () => {
  const rows = [
    row("10 × 4 KiB, sink", "ours", 1234),
    row("10 × 4 KiB, sink", "theirs", 100),
    row("10 × 4 KiB TLS, sink", "ours", 560),
    row("10 × 4 KiB TLS, sink", "others", 10),
  ];
  const cells = { "10 × 4 KiB": "plain", "10 × 4 KiB TLS": "secured", "1 × 4 KiB": "lonely" };
  const svg = plotMultiples(rows, { beside: "theirs", cells });
  const texts = [...svg.matchAll(/<text[^>]*>([^<]*)/g)].map((match) => match[1]);
  for (const text of ["plain", "12.3", "1", "ours", "theirs"]) {
    assert.ok(texts.includes(text), text);
  }
  for (const text of ["secured", "lonely", "others", "5.6"]) {
    assert.ok(!texts.includes(text), text);
  }
});
