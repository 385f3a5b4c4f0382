/** Which URLs a token may be fetched from. Serves schema.ts, and the client of token servers. */

export const TOKEN_URL_FORM =
  'an https: URL without credentials, such as "https://login.example.org/token"; http: only on this machine';

/** Nobody sits between two processes of one machine. */
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Whether clear text to this URL stays on the machine. */
export function isLoopbackUrl({ protocol, hostname }: URL): boolean {
  return protocol === "http:" && LOOPBACK.test(hostname);
}

/** RFC 6749 3.2: TLS, and no fragment. */
export function isTokenUrl(text: string): boolean {
  if (!URL.canParse(text)) {
    return false;
  }
  const url = new URL(text);
  const isPlain = url.username === "" && url.password === "" && !text.includes("#");
  return isPlain && (url.protocol === "https:" || isLoopbackUrl(url));
}
