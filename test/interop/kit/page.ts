/** The lines for MTAs that stand on docs/serve.md, as the page has them. Serves the interop tests, which run them. */
import { readFileSync } from "node:fs";

const PAGE = new URL("../../../../docs/serve.md", import.meta.url);

/** The blocks of the page that begin with the name of a file, such as `# main.cf`; in the order of the page. */
export function snippetsOf(file: string): string[] {
  const blocks = readFileSync(PAGE, "utf8").matchAll(/^```\w*\n([\s\S]*?)^```$/gm);
  const found = [...blocks].map(([, block]) => block!).filter((block) => block.startsWith(`# ${file}\n`));
  if (found.length === 0) {
    throw new Error(`docs/serve.md has no lines for ${file}`);
  }
  return found;
}

/** The `name = value` lines of main.cf as a record. */
export function settingsIn(snippets: readonly string[]): Record<string, string> {
  const lines = snippets.flatMap((snippet) => snippet.split("\n"));
  const settings = lines.flatMap((line): [string, string][] => {
    const [, name, value] = /^(\w+) = (.*)$/.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(settings);
}
