/** All unit tests in one process, for `npm test`: starting fifty processes would take longer than the tests. One file alone: `node --test dist/test/unit/NAME.test.js`. */
import { readdirSync } from "node:fs";

const folder = new URL("./unit/", import.meta.url);
const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.js"));
for (const name of files.sort()) {
  await import(new URL(name, folder).href);
}
