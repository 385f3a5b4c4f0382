/** The README and the pages beside it say what is true. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { posix } from "node:path";
import { test } from "node:test";
import { HOST_SCHEMA } from "../../src/config/schema.js";
import { ERROR_CODES } from "../../src/errors.js";
import { OperatedHost } from "../../src/operated-host.js";
import { RemoteHost, RemoteHosts } from "../../src/remote-hosts.js";

const read = (name: string) => readFile(new URL(`../../../${name}`, import.meta.url), "utf8");

test("the README's embedding example is examples/embed.mjs, in some 20 lines", async () => {
  const [, example] = /```js runnable\n(import \{ RemoteHosts \}[\s\S]*?)```/.exec(await read("README.md")) ?? [];
  assert.equal(example, await read("examples/embed.mjs"));
  assert.ok((example ?? "").trimEnd().split("\n").length <= 22);
});

test("the README names every key of a host", async () => {
  const readme = await read("README.md");
  for (const key of Object.keys(HOST_SCHEMA)) {
    const name = key.slice(key.lastIndexOf(".") + 1);
    assert.ok(
      ["`", "`.", "."].some((before) => readme.includes(`${before}${name}\``)),
      key,
    );
  }
});

test("docs/api.md lists every error code with its scope, and whether a retry may help", async () => {
  const page = await read("docs/api.md");
  const [, table = ""] = /<!-- error codes: begin -->([\s\S]*)<!-- error codes: end -->/.exec(page) ?? [];
  const listed = [...table.matchAll(/^\| `([A-Z_]+)` \| (\w+) \| (yes|no) \|/gm)].map(([, ...row]) => row.join(" "));
  const known = Object.entries(ERROR_CODES).map(
    ([code, { scope, retryable }]) => `${code} ${scope} ${retryable ? "yes" : "no"}`,
  );
  assert.deepEqual(listed, known);
});

test("docs/api.md has a heading for each method, and names each field of the types", async () => {
  const page = await read("docs/api.md");
  for (const [prefix, prototype] of [
    ["remotes", RemoteHosts.prototype],
    ["host", RemoteHost.prototype],
    ["host", OperatedHost.prototype],
  ] as const) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      const { value } = Object.getOwnPropertyDescriptor(prototype, name)!;
      if (typeof value === "function" && name !== "constructor") {
        assert.ok(page.includes(`\n### ${prefix}.${name}(`), `there is no heading for ${prefix}.${name}()`);
      }
    }
  }
  const spans = [...page.matchAll(/`([^`\n]+)`/g)].map(([, span]) => span).join(" ");
  const shapes = (await read("src/api.ts")) + (await read("src/stats.ts"));
  for (const [, type, fields] of shapes.matchAll(/^export interface (\w+) \{\n(.*?)^\}/gms)) {
    for (const [, field] of (fields ?? "").matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm)) {
      assert.match(spans, new RegExp(`\\b${field}\\b`), `${type}.${field} is not on the page`);
    }
  }
});

test("every link between the pages leads to a page and a heading that exist", async () => {
  const pages = [
    ...["README.md", "CONTRIBUTING.md", "SECURITY.md"],
    ...(await readdir(new URL("../../../docs/", import.meta.url))).map((name) => `docs/${name}`),
  ];
  for (const page of pages) {
    if (!page.endsWith(".md")) {
      continue;
    }
    for (const [, link = ""] of (await read(page)).matchAll(/\]\(([^):]+)\)/g)) {
      const [path = "", heading] = link.split("#");
      const target = path === "" ? page : posix.join(posix.dirname(page), path);
      const text = await read(target).catch(() => assert.fail(`${page} links to ${link}, which is not there`));
      if (heading === undefined) {
        continue;
      }
      assert.ok(headingsOf(text).includes(heading), `${page} links to ${link}; ${target} has no such heading`);
    }
  }
});

test("README.md and docs/README.md lead to every page", async () => {
  const pages = (await readdir(new URL("../../../docs/", import.meta.url))).filter(
    (name) => name.endsWith(".md") && name !== "README.md",
  );
  assert.ok(pages.length > 0);
  const readme = await read("README.md");
  const index = await read("docs/README.md");
  for (const page of pages) {
    assert.ok(readme.includes(`](docs/${page})`), `README.md has no row for docs/${page}`);
    assert.ok(index.includes(`](${page})`), `docs/README.md has no row for ${page}`);
  }
});

/** The anchors of a page's headings as GitHub makes them: lower case, hyphens for spaces, no other punctuation. */
function headingsOf(page: string): string[] {
  const headings = page.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, text = ""]) =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("every dependency has its reason", async () => {
  const { dependencies, devDependencies } = JSON.parse(await read("package.json"));
  const page = await read("docs/dependencies.md");
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
    assert.match(page, new RegExp(`(^\\||, ) ?${name.replace("/", "\\/")}[ ,]`, "m"), name);
  }
});

test("the glossary names nothing of the code that is not there", async () => {
  const [, table = ""] = (await read("docs/glossary.md")).split("## In the code");
  const names = [...table.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell]) => [...cell!.matchAll(/`(\w+)`/g)]);
  assert.ok(names.length > 10, "the table was found");
  const root = new URL("../../../", import.meta.url);
  const files = ["src", "workers"].map((folder) => readdir(new URL(folder, root), { recursive: true }));
  const paths = (await Promise.all(files)).flatMap((found, at) =>
    found.map((name) => `${["src", "workers"][at]}/${name}`),
  );
  const code = (await Promise.all(paths.filter((path) => path.endsWith(".ts")).map(read))).join("\n");
  for (const [, name] of names) {
    const declaration = new RegExp(`\\b(?:class|interface|type) ${name}\\b|\\b(?:readonly )?${name}[:(]`);
    assert.match(code, declaration, `nothing is called ${name}`);
  }
});
