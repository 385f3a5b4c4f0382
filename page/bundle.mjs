/** Makes dist/page/ of the page's sources: `npm run build`. */
import { build } from "esbuild";
import { writeLicences } from "../src/bundled-licences.mjs";

const { metafile } = await build({
  entryPoints: { dashboard: "page/main.tsx", index: "page/index.html", favicon: "page/favicon.svg" },
  outdir: "dist/page",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".html": "copy", ".svg": "copy" },
  metafile: true,
  logLevel: "warning",
});
await writeLicences([metafile], "dist/page/LICENSES.txt");
