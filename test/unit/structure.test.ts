/** Holds the house to its plan: imports run down the floors and never in circles, and each dependency has its one owner. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix, sep } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..");

/** From the roof down: the plan that CONTRIBUTING.md draws. A file may import from its own floor and from those below it. */
const FLOORS: readonly (readonly string[])[] = readLayout();

/** What a worker's thread may import of the gateway's. */
const SHARED = [
  "src/messages/",
  "src/config/settings.ts",
  "src/errors.ts",
  "src/timer-wheel.ts",
  "src/api.ts",
  "src/stats.ts",
  "src/lookup-kinds.ts",
  "src/ip-address.ts",
  "src/regular-expression.ts",
  "src/mail-domain.ts",
  "src/secret-forms.ts",
];
/** Tools that speak to a peer without a worker between. */
const FREE_OF_THREADS = ["src/cli/", "src/testing/"];

const OWNERS: Readonly<Record<string, readonly string[]>> = {
  piscina: ["src/runtime/worker-thread.ts"],
  comlink: ["src/runtime/worker-thread.ts", "workers/host-worker.ts"],
  "lru-cache": ["workers/host/cache.ts"],
  "smol-toml": ["src/config/"],
  "dns-packet": ["workers/wire/dns/srv-message.ts"],
  oauth4webapi: ["src/tokens/"],
  pino: ["src/runtime/loggers.ts"],
  re2js: ["src/regular-expression.ts"],
  "pino-pretty": ["src/cli/log-lines.ts"],
  "node:net": [
    "workers/wire/plain-socket.ts",
    "workers/wire/dns/dns-client.ts",
    "src/cli/",
    "src/serve/",
    "src/testing/",
  ],
  "node:dgram": ["workers/wire/dns/dns-client.ts"],
  // tls.ts is the half of connection.ts that secures what it opened.
  "node:tls": ["workers/wire/connection.ts", "workers/wire/tls.ts", "src/cli/", "src/serve/", "src/testing/"],
};
/** Functions of node:net that open nothing. */
const PURE_NAMES = new Set(["isIP", "isIPv4", "isIPv6", "BlockList", "SocketAddress"]);

/** Longer ones have more than one reason to change (CONTRIBUTING.md, House rules). */
const MOST_LINES = 400;
/** Shorter ones are part of another file, unless there is a reason. */
const LEAST_LINES = 15;
const REASONS_TO_BE_SHORT: Readonly<Record<string, string>> = {
  "bench/kit/certificate.ts": "two processes need it",
  "bench/kit/message.ts": "all contenders send it",
  "page/main.tsx": "the page's entry",
  "page/styles.d.ts": "types of what the bundler loads",
  "src/cli/mechanisms.ts": "two commands need it",
  "src/config/fingerprint.ts": "the schema and the reader of a host need it, and neither may import the other",
  "src/dashboard/token.ts": "how a secret is compared is looked for by name",
  "src/messages/dial-outcome.ts": "six files pass it on, from one thread to the other",
  "src/messages/xtext.ts": "both threads need it",
  "test/cluster/chaos/main.ts": "a command",
  "test/hostile/kit/two-addresses-worker.ts": "the entry of a thread",
  "test/kit/parse-prometheus-text-format.d.ts": "types that a package lacks",
  "test/kit/plain-head.ts": "six rigs make messages",
  "test/unit-tests.ts": "a command",
  "test/unit/rules/branch.ts": "two tests need it, and a linter's exception with it",
  "test/wire/kit/closing.ts": "many tests need it",
  "test/wire/kit/deaf-listener.ts": "a process",
  "workers/host/retry.ts": "the one rule for retries, tested as such",
  "workers/wire/progress.ts": "what all sessions report, below both protocols",
};

interface Import {
  readonly from: string;
  /** A path from the root, or a package's name. */
  readonly to: string;
  readonly isType: boolean;
  readonly names: readonly string[];
}

function readLayout(): string[][] {
  const page = readFileSync(join(ROOT, "CONTRIBUTING.md"), "utf8");
  const plan = /<!-- layout: begin -->([\s\S]*)<!-- layout: end -->/.exec(page)?.[1] ?? "";
  const floors = plan.split("\n").map((line) => line.split(/\s+/).filter((word) => /^(?:src|workers)\//.test(word)));
  return floors.filter((places) => places.length > 0);
}

function listFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => `${folder}/${name.split(sep).join("/")}`);
}

function readImports(file: string): Import[] {
  const source = readFileSync(join(ROOT, file), "utf8");
  const statements = source.matchAll(/^(?:import|export)\s+(type\s+)?([^;"']*?)\s*from\s+"([^"]+)";/gm);
  const dynamic = source.matchAll(/\bimport\(\s*"([^"]+)"\s*\)/g);
  const resolve = (specifier: string): string =>
    specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier).replace(/\.js$/, ".ts") : specifier;
  return [
    ...[...statements].map(([, type, clause, specifier]): Import => {
      const names = [...clause!.matchAll(/(?:^|[{,])\s*((?:type\s+)?[\w*$]+)/g)].map((match) => match[1]!);
      return {
        from: file,
        to: resolve(specifier!),
        isType: type !== undefined || (names.length > 0 && names.every((name) => /^type\s/.test(name))),
        names: names.filter((name) => !/^type\s/.test(name)),
      };
    }),
    ...[...dynamic].map(([, specifier]): Import => ({ from: file, to: resolve(specifier!), isType: false, names: [] })),
  ];
}

function isWithin(path: string, places: readonly string[]): boolean {
  return places.some((place) => (place.endsWith("/") ? path.startsWith(place) : path === place));
}

/** The floor whose name fits best: `workers/wire/` before `workers/`. */
function floorOf(path: string): number {
  let floor = -1;
  let fit = 0;
  FLOORS.forEach((places, index) => {
    for (const place of places) {
      if (!isWithin(path, [place]) || place.length <= fit) {
        continue;
      }
      floor = index;
      fit = place.length;
    }
  });
  return floor;
}

describe("the structure of the house", () => {
  let files: string[];
  let imports: Import[];
  let own: Import[];

  before(() => {
    files = [...listFiles("src"), ...listFiles("workers")];
    imports = files.flatMap(readImports);
    own = imports.filter(({ to }) => to.startsWith("src/") || to.startsWith("workers/"));
    assert.ok(own.length > 100, "the imports were found");
    assert.ok(imports.some(({ to }) => to === "piscina"));
  });

  test("every floor has its files", () => {
    const empty = FLOORS.flat().filter((place) => !files.some((file) => isWithin(file, [place])));
    assert.deepEqual(empty, []);
    assert.ok(FLOORS.length > 10);
  });

  test("no file is longer than 400 lines, nor shorter than 15 without a reason", () => {
    const all = ["src", "workers", "test", "bench", "page"].flatMap(listFiles);
    const lengths = all.map((file) => [file, readFileSync(join(ROOT, file), "utf8").split("\n").length - 1] as const);
    const long = lengths.filter(([, lines]) => lines > MOST_LINES).map(([file, lines]) => `${file}: ${lines}`);
    assert.deepEqual(long, []);
    const short = lengths.filter(([, lines]) => lines < LEAST_LINES).map(([file]) => file);
    assert.deepEqual(short.sort(), Object.keys(REASONS_TO_BE_SHORT).sort());
    assert.ok(all.some((file) => file.endsWith(".tsx")) && all.length > 400, "the files were found");
  });

  test("every file stands on a floor", () => {
    assert.deepEqual(
      files.filter((file) => floorOf(file) === -1),
      [],
    );
  });

  test("imports run down", () => {
    const upward = own.filter(({ from, to }) => floorOf(to) < floorOf(from));
    assert.deepEqual(upward.map(describeImport), []);
  });

  test("no imports in circles, those of types included", () => {
    const targets = new Map<string, string[]>();
    for (const { from, to } of own) {
      targets.set(from, [...(targets.get(from) ?? []), to]);
    }
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) {
        circles.push([...path.slice(path.indexOf(file)), file].join(" → "));
      }
      if (path.includes(file) || done.has(file)) {
        return;
      }
      for (const target of targets.get(file) ?? []) {
        visit(target, [...path, file]);
      }
      done.add(file);
    };
    for (const file of files) {
      visit(file, []);
    }
    assert.deepEqual(circles, []);
  });

  test("the threads share the contract between them and nothing else", () => {
    const wrong = own.filter(({ from, to }) => {
      if (from.startsWith("workers/") && to.startsWith("src/")) {
        return !isWithin(to, SHARED);
      }
      if (from.startsWith("src/") && to.startsWith("workers/")) {
        return !isWithin(from, FREE_OF_THREADS);
      }
      return false;
    });
    assert.deepEqual(wrong.map(describeImport), []);
  });

  test("each dependency has its one owner", () => {
    const wrong = imports.filter(({ from, to, isType, names }) => {
      const owners = OWNERS[to];
      if (owners === undefined || isType || isWithin(from, owners)) {
        return false;
      }
      return !(to === "node:net" && names.length > 0 && names.every((name) => PURE_NAMES.has(name)));
    });
    assert.deepEqual(wrong.map(describeImport), []);
  });

  test("every import of a file of ours leads to one", () => {
    const known = new Set(files);
    const lost = own.filter(({ to }) => !known.has(to)).map(describeImport);
    assert.deepEqual(lost, []);
  });
});

function describeImport({ from, to }: Import): string {
  return `${from} imports ${to}`;
}
