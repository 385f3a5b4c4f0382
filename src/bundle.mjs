/**
 * Makes of the sources what is loaded when the package is used: `npm run build`. dist/lib/ has a file for each of its entries and a few
 * that they share, instead of two hundred modules, each of which is found, read and linked before the first line runs;
 * dist/workers/host-worker.js is all that a worker thread needs.
 */
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { build } from "esbuild";
import { writeLicences } from "./bundled-licences.mjs";

const LIBRARY = resolve("dist/lib");
/** Small, or with dozens of files, and none of them is known to the package's users. */
const INLINED = ["comlink", "lru-cache", "piscina", "smol-toml"];
const { dependencies, peerDependencies } = JSON.parse(await readFile("package.json", "utf8"));
const external = Object.keys({ ...dependencies, ...peerDependencies }).filter((name) => !INLINED.includes(name));

/** A module that looks for files finds them: its `import.meta.url` is that of its place in dist/src/, wherever its code went. */
const keepPlaces = {
  name: "keep-places",
  setup({ onLoad }) {
    onLoad({ filter: /[/\\]src[/\\].*\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const place = relative(LIBRARY, resolve("dist", relative(".", path))).replaceAll("\\", "/");
      // In a gateway's bundle that is CommonJS, import.meta is empty.
      const url = `(import.meta.url && new URL(${JSON.stringify(place)}, import.meta.url).href)`;
      const name = relative("src", path).replaceAll("\\", "/").replace(/\.ts$/, "");
      const ground = GROUND.includes(name) ? "" : '\nimport "ground:";';
      return { contents: source.replaceAll("import.meta.url", url) + ground, loader: "ts" };
    });
  },
};

/** Small, and needed almost everywhere. For each of them, esbuild would make a file of its own for the few entries that need no other. */
const GROUND = [
  "config/quantities",
  "config/token-url",
  "errors",
  "ip-address",
  "lookup-kinds",
  "mail-domain",
  "messages/client",
  "messages/host-stats",
  "messages/places",
  "timer-wheel",
];

/** Whatever needs one file of the ground gets all of it, in one file. */
const shareGround = {
  name: "share-ground",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^ground:$/ }, () => ({ path: "ground", namespace: "ground" }));
    onLoad({ filter: /.*/, namespace: "ground" }, () => ({
      contents: GROUND.map((name) => `import "./${name}.js";`).join("\n"),
      resolveDir: resolve("src"),
      loader: "ts",
    }));
  },
};

/** piscina is CommonJS. As a part of an ES module it has no `require()`, and its folder, where it finds what its threads run first, is ours. */
const takePiscinaIn = {
  name: "take-piscina-in",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === "require-call" ? { path, namespace: "builtin", sideEffects: false } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => {
      const name = JSON.stringify(path);
      return { contents: `export * from ${name};\nexport { default } from ${name};` };
    });
    onLoad({ filter: /[/\\]piscina[/\\]dist[/\\]index\.js$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      if (source.split("__dirname").length !== 2) {
        throw new Error("piscina looks for its folder in another way than before");
      }
      return { contents: source.replace("__dirname", "require('./folder').folder"), resolveDir: dirname(path) };
    });
    onResolve({ filter: /^\.\/folder$/ }, ({ path }) => ({ path, namespace: "folder" }));
    onLoad({ filter: /.*/, namespace: "folder" }, () => {
      const own = 'fileURLToPath(new URL("../workers/piscina", import.meta.url))';
      // In a gateway's bundle that is CommonJS, import.meta is empty, and the folder is the bundle's.
      const contents = `import { fileURLToPath } from "node:url";
        export const folder = import.meta.url ? ${own} : __dirname;`;
      return { contents, resolveDir: LIBRARY };
    });
  },
};

const options = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "es2022",
  // The default prefers CommonJS, which brings a wrapper for each module.
  mainFields: ["module", "main"],
  external,
  sourcemap: true,
  metafile: true,
  logLevel: "warning",
};

const library = await build({
  ...options,
  entryPoints: {
    index: "src/index.ts",
    nodemailer: "src/adapters/nodemailer.ts",
    "smtp-server": "src/adapters/smtp-server.ts",
    haraka: "src/adapters/haraka.ts",
    metrics: "src/metrics.ts",
    dashboard: "src/dashboard/index.ts",
    testing: "src/testing/index.ts",
    cli: "src/cli/main.ts",
  },
  outdir: LIBRARY,
  splitting: true,
  plugins: [keepPlaces, shareGround, takePiscinaIn],
});
const worker = await build({
  ...options,
  entryPoints: ["workers/host-worker.ts"],
  outfile: "dist/workers/host-worker.js",
  allowOverwrite: true,
});
// What piscina runs first in each thread: one file instead of three. It is CommonJS, whatever the package says.
const firstInThread = await build({
  ...options,
  format: "cjs",
  external: ["@napi-rs/nice"],
  entryPoints: ["node_modules/piscina/dist/worker.js"],
  outfile: "dist/workers/piscina/worker.js",
  sourcemap: false,
});
await writeFile("dist/workers/piscina/package.json", '{ "type": "commonjs" }\n');
await writeLicences(
  [library, worker, firstInThread].map(({ metafile }) => metafile),
  join(LIBRARY, "LICENSES.txt"),
);
