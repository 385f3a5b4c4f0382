/** The urls of a `[cluster]`: what is right, and what stands in them. Serves schema.ts and cluster.ts. */

/** What a url says, credentials apart from the rest. */
export interface RedisUrl {
  /** Without credentials: safe to show. */
  readonly url: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

const UNIX = /^unix:(?:\/\/)?\/[^?#]+$/;

export function isRedisUrl(text: string): boolean {
  return UNIX.test(text) || (isServerUrl(text) && /^\/?\d{0,4}$/.test(new URL(text).pathname));
}

/** A sentinel has neither a database nor credentials of ours. */
export function isSentinelUrl(text: string): boolean {
  return isServerUrl(text) && ["", "/"].includes(new URL(text).pathname) && !new URL(text).href.includes("@");
}

export function isClusterName(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(text);
}

/** Takes the credentials out of a url that is right. */
export function splitRedisUrl(text: string): RedisUrl {
  if (UNIX.test(text)) {
    return { url: text, username: undefined, password: undefined };
  }
  const url = new URL(text);
  const { username, password } = url;
  url.username = "";
  url.password = "";
  return { url: url.href, username: decode(username), password: decode(password) };
}

function isServerUrl(text: string): boolean {
  if (!/^rediss?:\/\//.test(text) || !URL.canParse(text)) {
    return false;
  }
  const url = new URL(text);
  return url.hostname !== "" && url.search === "" && url.hash === "" && isDecodable(url.username + url.password);
}

function decode(part: string): string | undefined {
  return part === "" ? undefined : decodeURIComponent(part);
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
