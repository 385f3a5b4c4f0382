/** The snippets of docs/testing.md run as they stand, from within the package as a gateway would run them. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const page = readFileSync(`${root}docs/testing.md`, "utf8");
const snippets = [...page.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code!);

for (const [index, code] of snippets.entries()) {
  test(`snippet ${index + 1} of docs/testing.md`, async () => {
    // The second one leaves its server listening for the reader to play with.
    const whole = code.includes("server.close()") ? code : `${code}\nawait server.close();`;
    await promisify(execFile)(process.execPath, ["--input-type=module", "-e", whole], { cwd: root });
  });
}
