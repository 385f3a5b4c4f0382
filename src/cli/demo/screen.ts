/** What the demo shows, for a terminal of 80 columns. Serves demo.ts. */
import { table } from "../terminal.js";

const COLUMNS = 80;

/** What was counted of one host, by its name. */
export type Counts = Readonly<Record<string, string | number>>;

const TABLES: readonly (readonly string[])[] = [
  ["host", "messages", "delivered", "refused", "deferred", "rejected", "uncertain", "arrived"],
  ["host", "lookups", "shared", "cached", "connections", "p50 ms", "p99 ms"],
];

/** The counts of the hosts: messages above, lookups and times below. */
export function countLines(hosts: readonly Counts[]): string[] {
  return TABLES.flatMap((head, index) => {
    const rows = hosts.map((counts) => head.map((name) => counts[name] ?? ""));
    return [...(index === 0 ? [] : [""]), ...table(head, rows)];
  });
}

/** A text in lines, each behind `indent`. */
export function wrapped(text: string, indent = ""): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent.length + line.length + 1 + word.length > COLUMNS) {
      lines.push(indent + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, indent + line];
}
