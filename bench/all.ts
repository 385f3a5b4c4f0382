/** Every benchmark, one after the other, with the same options: `npm run bench`. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

for (const name of [
  "limit",
  "relay",
  "stream",
  "lookup",
  "mailbox",
  "hosts",
  "isolation",
  "serve",
  "operator",
  "cluster",
  "tenants",
  "start",
]) {
  const file = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const { status } = spawnSync(process.execPath, [file, ...process.argv.slice(2)], { stdio: "inherit" });
  if (status !== 0) {
    console.error(`${name} ended with ${status}`);
    process.exitCode = 1;
  }
}
