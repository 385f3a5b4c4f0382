/** What hosts may not have in common. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadSettings } from "../../../src/config/load.js";
import { ConfigError } from "../../../src/errors.js";

test("two hosts with one cache file are a mistake, however the file is named", async () => {
  const host = (file: string) => ({ address: "localhost", port: 24, protocol: "lmtp" as const, cache: { file } });
  await assert.rejects(
    loadSettings({ remote: { a: host("one"), b: host("./two/../one"), c: host("three") } }),
    (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual(
        error.problems.map(({ key }) => key),
        ["remote.b.cache.file"],
      );
      return /remote\.a already/.test(error.message);
    },
  );
});
