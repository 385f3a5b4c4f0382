/** The rule for automatic retries, case by case. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isRetrySafe } from "../../../workers/host/retry.js";

const SHOWN = ["nothing", "command", "credentials", "content"] as const;

describe("a request whose connection ended", () => {
  it("goes again only where a used connection had answered none of it and nothing was shown that counts by itself", () => {
    const safe: string[] = [];
    for (const isReused of [false, true]) {
      for (const isAnswered of [false, true]) {
        for (const shown of SHOWN) {
          if (isRetrySafe({ isReused, isAnswered, shown })) {
            safe.push(`${isReused ? "used" : "fresh"}, ${isAnswered ? "answered" : "unanswered"}, ${shown}`);
          }
        }
      }
    }
    assert.deepEqual(safe, ["used, unanswered, nothing", "used, unanswered, command"]);
  });
});
