/** Writes down whose code a bundle contains, with each licence: all of them ask for that in copies. Serves both bundles of `npm run build`. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** @param metafiles what esbuild says of the files that went in */
export async function writeLicences(metafiles, file) {
  const inputs = metafiles.flatMap(({ inputs }) => Object.keys(inputs));
  const folders = new Set(
    inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input.replaceAll("\\", "/")) ?? []),
  );
  const texts = await Promise.all([...folders].sort().map(licenceOf));
  await writeFile(file, texts.join(`\n${"-".repeat(80)}\n\n`));
}

async function licenceOf(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const text = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  if (text === undefined) {
    throw new Error(`${name} has no licence text, and stands in the bundle`);
  }
  return `${name} ${version}, ${license}\n\n${(await readFile(join(folder, text), "utf8")).trim()}\n`;
}
