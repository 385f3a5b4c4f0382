/** The message that every contender sends. */

const HEADER = "From: <a@sender.example>\r\nTo: <b@sink.example>\r\nSubject: benchmark\r\n\r\n";

/** A message of about `sizeOctets`, in lines of 78 octets, CRLF at their ends, no line beginning with a dot. */
export function makeMessage(sizeOctets: number): Buffer {
  const line = `${"The quick brown fox jumps over the lazy dog, again and again and again.".padEnd(76, "!")}\r\n`;
  const lines = Math.max(1, Math.round((sizeOctets - HEADER.length) / line.length));
  return Buffer.from(HEADER + line.repeat(lines), "latin1");
}
