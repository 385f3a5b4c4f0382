/** The refresh token of one account: read for each use, and kept when the token server hands out another one. Serves token-source.ts. */
import { randomUUID } from "node:crypto";
import { open, readFile, realpath, rename, stat, unlink } from "node:fs/promises";
import type { OAuth2Settings } from "../config/settings.js";

/** Until it has the rights of the file whose place it takes. */
const MODE = 0o600;
/** Those of the large providers have one or two thousand. */
const MOST_OCTETS = 16_384;

/** Why a text is no refresh token (RFC 6749 A.17), as the end of "which …"; `undefined`: it may be one. */
export function findRefreshTokenMistake(token: string): string | undefined {
  if (token === "") {
    return "is empty";
  }
  if (token.length > MOST_OCTETS) {
    return `is longer than ${MOST_OCTETS} octets`;
  }
  return /^[\x20-\x7e]+$/.test(token) ? undefined : "has a line's end, or another character that no token has";
}

export class RefreshToken {
  /** What stands in the settings or in the file, as it was read last. */
  private stored: string | undefined;
  /** What the server handed out, and which stored token it takes the place of. */
  private successor: string | undefined;
  private succeeded: string | undefined;

  constructor(private readonly settings: Pick<OAuth2Settings, "refreshToken" | "refreshTokenFile">) {}

  /** Takes over what the server handed out before a reload. */
  inherit({ successor, succeeded }: RefreshToken): void {
    this.successor = successor;
    this.succeeded = succeeded;
  }

  /**
   * The one to use now. A file is read each time, since another gateway may have written it.
   *
   * @throws Error of the file system
   */
  async read(): Promise<string | undefined> {
    const { refreshToken, refreshTokenFile } = this.settings;
    this.stored =
      refreshTokenFile === undefined ? refreshToken : (await readFile(refreshTokenFile, "utf8")).replace(/\r?\n$/, "");
    return this.successor !== undefined && this.stored === this.succeeded ? this.successor : this.stored;
  }

  /**
   * Keeps another one from now on.
   *
   * @returns whether it outlives this process
   * @throws Error of the file system; then it is kept until this process ends
   */
  async replace(token: string): Promise<boolean> {
    const { refreshTokenFile } = this.settings;
    this.successor = token;
    this.succeeded = this.stored;
    if (refreshTokenFile === undefined) {
      return false;
    }
    await writeWhole(refreshTokenFile, `${token}\n`);
    return true;
  }
}

/** A reader finds the old content or the new one, even after a power cut. */
async function writeWhole(path: string, content: string): Promise<void> {
  // Of a symbolic link, as secret stores make them, the file behind it.
  const file = await realpath(path);
  const { mode, uid, gid } = await stat(file);
  // Hosts of one process may share an account, and write at the same time.
  const beside = `${file}.${randomUUID()}.new`;
  try {
    const handle = await open(beside, "wx", MODE);
    try {
      await handle.writeFile(content);
      // Only root may give a file away; whoever else may write it owns it, or shares a group with its owner.
      await handle.chown(uid, gid).catch(() => {});
      await handle.chmod(mode & 0o777);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
  } catch (error) {
    await unlink(beside).catch(() => {});
    throw error;
  }
}
