/** What may stand where a host's name, IP address or unix socket belongs. Serves the schema. */

const LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
const NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*\\.?$`);
/** A last label of digits is no top-level domain: what has one is an IPv4 address or a mistake. */
const ENDS_IN_NUMBER = /(?:^|\.)[0-9]+\.?$/;

/** A host name or an IP address. */
export function isAddress(text: string): boolean {
  return isHostName(text) || isIpAddress(text);
}

/** Whether a machine's own name is one that servers take: a single label says nothing to them. */
export function isQualified(name: string): boolean {
  return isEhloName(name) && name.includes(".") && !name.startsWith("localhost.");
}

const UNIX = "unix:";
/** sun_path of Linux, without its ending NUL, or the one that an abstract name begins with. */
const MOST_PATH_OCTETS = 107;

/** `unix:/path`, or `unix:@name` for an abstract socket of Linux, as Node connects to it; `undefined`: it is none. */
export function parseUnixAddress(text: string): string | undefined {
  const path = text.startsWith(UNIX) ? text.slice(UNIX.length) : "";
  const isRight = (path.startsWith("/") || /^@./.test(path)) && Buffer.byteLength(path) <= MOST_PATH_OCTETS;
  return isRight ? path.replace(/^@/, "\0") : undefined;
}

const SRV = "srv:";

/** `srv:_lmtp._tcp.example.org`: the name of SRV records (RFC 2782); `undefined`: it is none. */
export function parseSrvAddress(text: string): string | undefined {
  const name = text.startsWith(SRV) ? text.slice(SRV.length).replace(/\.$/, "") : "";
  return /^_[^.]+\._(?:tcp|udp)\.[^.]/.test(name) && isHostName(name) ? name : undefined;
}

/** Of the name of SRV records: the domain whose service it is. RFC 6125 6.2.1: that is what a certificate must be for. */
export function domainOfService(name: string): string {
  return name.split(".").slice(2).join(".");
}

/** An IP address of a DNS server, with or without its port. */
export function isDnsServer(text: string): boolean {
  const [, address = text, port] = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(text) ?? [];
  return isIpAddress(address) && (port === undefined || (Number(port) > 0 && Number(port) < 65_536));
}

/** A name for EHLO: a host name or an address literal (RFC 5321 4.1.3). */
export function isEhloName(text: string): boolean {
  if (!text.startsWith("[") || !text.endsWith("]")) {
    return isHostName(text) && !text.endsWith(".");
  }
  const literal = text.slice(1, -1);
  return isIpv4(literal) || (/^ipv6:/i.test(literal) && isIpv6(literal.slice(5)));
}

/** An IPv4 or IPv6 address, the latter also in brackets and with a zone. */
export function isIpAddress(text: string): boolean {
  return isIpv4(text) || isIpv6(withoutBrackets(text).replace(/%[A-Za-z0-9._-]{1,32}$/, ""));
}

/** `[2001:db8::1]` as sockets want it. */
export function withoutBrackets(text: string): string {
  return text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
}

function isHostName(text: string): boolean {
  return text.length <= 253 && NAME.test(text) && !ENDS_IN_NUMBER.test(text);
}

function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256);
}

function isIpv6(text: string): boolean {
  return /^[0-9A-Fa-f:.]{2,45}$/.test(text) && URL.canParse(`http://[${text}]/`);
}
