/**
 * The programs of the documentation run as they stand and print what their comments say. In README.md and docs/*.md, a block
 * marked `js runnable` begins a program, and blocks marked `js continued` go on with it. A comment behind a console.log, or alone on its
 * lines after one, is what that prints; what follows ", and " in it is for the reader.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Inside the package, so that its own name can be imported. */
const FOLDER = join(ROOT, "dist/documentation");
const PAGES = ["README.md", ...pagesIn("docs")];

function pagesIn(folder: string): string[] {
  const names = readdirSync(join(ROOT, folder)).filter((name) => name.endsWith(".md"));
  return names.map((name) => `${folder}/${name}`);
}

function programsOf(page: string): string[] {
  const programs: string[] = [];
  const blocks = readFileSync(join(ROOT, page), "utf8").matchAll(/^```js (runnable|continued)\n([\s\S]*?)^```$/gm);
  for (const [, mark, code] of blocks) {
    if (mark === "runnable") {
      programs.push(code!);
    } else {
      programs.push(`${programs.pop()}\n${code}`);
    }
  }
  return programs;
}

function promisesOf(program: string): string[] {
  const promises: string[] = [];
  let isPrinting = false;
  for (const line of program.split("\n")) {
    const comment = /(?:^\s*|\) *;?(?: *\}\))? *;? +)\/\/ (.*)$/.exec(line)?.[1];
    const prints = line.includes("console.log(");
    const isAlone = /^\s*\/\/ /.test(line);
    if (comment !== undefined && (prints || (isAlone && isPrinting))) {
      promises.push(comment.split(", and ")[0]!);
    }
    isPrinting = prints || (isPrinting && (isAlone || line.trim() === "}" || line.trim() === "});"));
  }
  return promises;
}

describe("documentation", { timeout: 120_000 }, () => {
  mkdirSync(FOLDER, { recursive: true });
  after(() => rmSync(FOLDER, { recursive: true, force: true }));
  for (const page of PAGES) {
    for (const [index, program] of programsOf(page).entries()) {
      it(`${page}, program ${index + 1}, does what it says`, async () => {
        const file = join(FOLDER, `${basename(page, ".md")}-${index + 1}.mjs`);
        writeFileSync(file, program);
        const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: ROOT, timeout: 60_000 });
        const promises = promisesOf(program);
        if (promises.length > 0) {
          assert.deepEqual(stdout.trimEnd().split("\n"), promises);
        }
      });
    }
  }
});
