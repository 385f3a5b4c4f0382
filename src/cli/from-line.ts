/**
 * The line that starts each message of an mbox (RFC 4155): "From ", an envelope address, and a date as asctime writes it. Serves mbox.ts and
 * mail-source.ts. Text may begin with "From " too: a line that lacks the address or the date is text.
 */

const NEWLINE = 0x0a;
const FROM = Buffer.from("From ");
/** More than the longest address (RFC 5321 4.5.3.1.3) with its date and host. */
export const FROM_LINE_OCTETS = 1024;

/** Any word: `a@b`, `MAILER-DAEMON`, Mozilla's `-`. A quoted local part may hold spaces, and Mailman's archives write `a at b`. */
const ADDRESS = String.raw`(?:"(?:[^"\\]|\\.)*"\S*|\S+)(?: at \S+)?`;
const WEEKDAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
const DAY = "(?:0?[1-9]|[12][0-9]|3[01])";
/** System V's mail left the seconds out. */
const TIME = "(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::(?:[0-5][0-9]|60))?";
/** `EST`, `MET DST`, `+0100`, `GMT+1`; in front of the year or behind it. */
const ZONE = "(?: +(?:[A-Z]{1,5}(?:[+-][0-9]{1,4})?|[+-][0-9]{4}))";
const YEAR = "[0-9]{4}";
/** UUCP said where it came from. */
const REMOTE = String.raw`(?: +remote from \S+)?`;
const FROM_LINE = new RegExp(
  `^From ${ADDRESS} +${WEEKDAY} +${MONTH} +${DAY} +${TIME}${ZONE}{0,2} +${YEAR}${ZONE}{0,2}${REMOTE}[ \\t]*\\r?\\n?$`,
);

/** Whether a line begins as the start of a message does; it may be text all the same. */
export function beginsWithFrom(line: Uint8Array): boolean {
  return FROM.equals(line.subarray(0, FROM.length));
}

/** Whether a whole line, with or without its newline, is the start of a message. */
export function isFromLine(line: Buffer): boolean {
  return line.length <= FROM_LINE_OCTETS && beginsWithFrom(line) && FROM_LINE.test(line.toString("latin1"));
}

/** The first line of some octets, with its newline where that is among them. */
export function firstLine(bytes: Buffer): Buffer {
  const end = bytes.indexOf(NEWLINE);
  return end === -1 ? bytes : bytes.subarray(0, end + 1);
}
