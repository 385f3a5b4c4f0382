/** The packed tarball, installed into somebody else's project: the library, its types, its worker file, the kit and the command. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const repository = fileURLToPath(new URL("../../../", import.meta.url));
let project = "";
let tarball = "";

before(async () => {
  project = await mkdtemp(join(tmpdir(), "relaypost-package-"));
  // The compiled output is there already: the test runs from it.
  const packed = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], {
    cwd: repository,
  });
  const [{ filename }] = JSON.parse(packed.stdout);
  tarball = join(project, filename);
  await writeFile(join(project, "package.json"), JSON.stringify({ name: "gateway", private: true, type: "module" }));
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--omit=dev", tarball], {
    cwd: project,
  });
});
after(() => rm(project, { recursive: true, force: true }));

const inProject = (...args: string[]) => run(process.execPath, args, { cwd: project, timeout: 60_000 });

test("the embedding example runs against the installed package", async () => {
  await cp(join(repository, "examples/embed.mjs"), join(project, "embed.mjs"));
  const { stdout } = await inProject("embed.mjs");
  assert.match(stdout, /anna@example\.org delivered/);
});

test("the pages that the README and the systemd unit name are in the package", async () => {
  const installed = join(project, "node_modules/relaypost");
  const readme = await readFile(join(installed, "README.md"), "utf8");
  const unit = await readFile(join(installed, "examples/systemd/relaypost.service"), "utf8");
  const pages = [
    ...[...readme.matchAll(/\]\(([^):#]+)\)/g)].map(([, page]) => page ?? ""),
    ...[...unit.matchAll(/node_modules\/relaypost\/(\S+)/g)].map(([, page]) => page ?? ""),
  ];
  assert.ok(pages.includes("docs/serve.md") && pages.includes("SECURITY.md"));
  for (const page of pages) {
    await readFile(join(installed, page));
  }
});

test("a host on a worker thread relays and answers", async () => {
  const program = `
    import { RemoteHosts } from "relaypost";
    import { listenMail } from "relaypost/testing";
    const server = await listenMail({ recipients: ["anna@example.org"] });
    const tls = { implicit: false, starttls: "disable" };
    const remotes = await RemoteHosts.open({ remote: { a: { address: "127.0.0.1", port: server.port, protocol: "smtp", lookup: true, tls } } });
    const host = remotes.host("a");
    const { recipients } = await host.relay({ from: "", to: ["anna@example.org", "eve@example.org"] }, "Subject: x\\n\\n");
    const { found } = await host.verifyRecipient("eve@example.org");
    await remotes.close();
    console.log(JSON.stringify({ statuses: recipients.map(({ status }) => status), found, stored: server.ledger.deliveries.length }));
    await server.close();`;
  await writeFile(join(project, "use.mjs"), program);
  const { stdout } = await inProject("use.mjs");
  assert.deepEqual(JSON.parse(stdout), { statuses: ["delivered", "refused"], found: false, stored: 1 });
});

test("what only some gateways need is not loaded with the package", async () => {
  const program = `
    import { createRequire } from "node:module";
    import "relaypost";
    const { cache } = createRequire(import.meta.url);
    const isLoaded = (name) => Object.keys(cache).some((file) => file.includes(\`node_modules/\${name}/\`));
    console.log(["piscina", "pino", "re2js", "@mongodb-js/saslprep", "@redis/client"].filter(isLoaded).join());`;
  await writeFile(join(project, "loaded.mjs"), program);
  assert.equal((await inProject("loaded.mjs")).stdout, "\n");
});

test("the command and its demo run from the installed package", async () => {
  const bin = join(project, "node_modules/.bin/relaypost");
  const { version } = JSON.parse(await readFile(join(repository, "package.json"), "utf8"));
  assert.equal((await run(bin, ["--version"])).stdout, `${version}\n`);
  const { stdout } = await run(bin, ["demo", "--json"], { cwd: project, timeout: 60_000 });
  assert.match(stdout, /\{"agrees":true,"wrong":\[\]\}\n$/);
});

test("whatever imports the package finds its files and its types", async () => {
  const bin = (name: string) => join(repository, "node_modules/.bin", name);
  await run(bin("publint"), [tarball, "--strict"]);
  await run(bin("attw"), [tarball, "--profile", "esm-only"]);
});

test("its types serve a strict TypeScript project", async () => {
  const program = `
    import { RemoteHosts, RelaypostError, type RelayResult } from "relaypost";
    export async function send(file: string): Promise<RelayResult["recipients"]> {
      const remotes = await RemoteHosts.open(file);
      try {
        return (await remotes.host("a").relay({ from: "", to: "b@example.org" }, Buffer.from("x"))).recipients;
      } catch (error) {
        if (error instanceof RelaypostError && error.code === "MAILBOX_FULL") return [];
        throw error;
      } finally {
        await remotes.close();
      }
    }`;
  await writeFile(join(project, "use.ts"), program);
  const tsc = join(repository, "node_modules/typescript/bin/tsc");
  const types = ["--typeRoots", join(repository, "node_modules/@types"), "--types", "node"];
  const strict = [
    "--noEmit",
    "--strict",
    "--exactOptionalPropertyTypes",
    "--skipLibCheck",
    "--target",
    "ES2022",
    "--lib",
    "ES2023,ESNext.Disposable",
  ];
  await inProject(tsc, ...strict, "--module", "NodeNext", ...types, "use.ts").catch((error) =>
    assert.fail(error.stdout),
  );
});

test("the licences of what stands in the bundles are in the package", async () => {
  const installed = join(project, "node_modules/relaypost");
  const inLibrary = await readFile(join(installed, "dist/lib/LICENSES.txt"), "utf8");
  for (const name of ["comlink", "lru-cache", "piscina", "smol-toml"]) {
    assert.match(inLibrary, new RegExp(`^${name} \\d+\\.`, "m"));
  }
  assert.match(inLibrary, /Copyright \(c\).*James M Snell/i);
  const inPage = await readFile(join(installed, "dist/page/LICENSES.txt"), "utf8");
  assert.match(inPage, /^preact .*MIT[\s\S]*^uplot .*MIT/m);
});
