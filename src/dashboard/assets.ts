/** The files of the page, as `npm run build` made them of page/: small, few, and kept in memory once they were asked for. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

const FOLDER = new URL("../../page/", import.meta.url);

const TYPES: Readonly<Record<string, string>> = {
  "index.html": "text/html; charset=utf-8",
  "dashboard.js": "text/javascript; charset=utf-8",
  "dashboard.css": "text/css; charset=utf-8",
  "favicon.svg": "image/svg+xml",
};

/** A file, ready to be sent. */
export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  /** For If-None-Match. */
  readonly etag: string;
}

const read = new Map<string, Promise<Asset>>();

/** `undefined`: the page has no such file. */
export function findAsset(name: string): Promise<Asset> | undefined {
  const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
  if (type === undefined) {
    return undefined;
  }
  let asset = read.get(name);
  if (asset === undefined) {
    asset = readFile(new URL(name, FOLDER)).then((body) => {
      const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
      return { type, body, etag };
    });
    read.set(name, asset);
  }
  return asset;
}
