/** The file of a refresh token, on a real file system. */
import assert from "node:assert/strict";
import { lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { RefreshToken } from "../../../src/tokens/refresh-token.js";

describe("the file of a refresh token", () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "relaypost-refresh-"));
    file = join(folder, "token");
    await writeFile(file, "first\n", { mode: 0o600 });
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("that several hosts of a process replace at the same time holds one of their tokens, whole", async () => {
    const tokens = Array.from({ length: 20 }, (_, index) => `${index}-`.padEnd(10 + 500 * index, "x"));
    await Promise.all(tokens.map((token) => new RefreshToken({ refreshTokenFile: file }).replace(token)));
    const kept = await readFile(file, "utf8");
    assert.ok(tokens.includes(kept.slice(0, -1)), kept.slice(0, 40));
    assert.deepEqual(await readdir(folder), ["token"]);
  });

  test("that is a symbolic link stays one: the file behind it is replaced", async () => {
    const link = join(folder, "link");
    await symlink("token", link);
    const token = new RefreshToken({ refreshTokenFile: link });
    assert.equal(await token.read(), "first");
    assert.equal(await token.replace("second"), true);
    assert.ok((await lstat(link)).isSymbolicLink());
    assert.equal(await readFile(file, "utf8"), "second\n");
    assert.equal((await lstat(file)).mode & 0o777, 0o600);
  });
});
