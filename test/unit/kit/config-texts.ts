/** A host's smallest table, and what the loader makes of a text. Serves the tests of the configuration. */
import assert from "node:assert/strict";
import { parseSettings } from "../../../src/config/load.js";
import type { HostSettings } from "../../../src/config/settings.js";
import { ConfigError, type ConfigProblem } from "../../../src/errors.js";

export const HOST = '[remote.x]\naddress = "mail.example.org"\nport = 25\nprotocol = "smtp"\n';

export async function problemsOf(toml: string): Promise<readonly ConfigProblem[]> {
  try {
    await parseSettings(toml, { file: "remotes.toml" });
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return [];
}

export async function hostOf(toml: string): Promise<HostSettings> {
  return (await parseSettings(toml)).hosts.get("x")!;
}
