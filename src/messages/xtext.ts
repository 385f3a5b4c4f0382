/** xtext (RFC 3461 4), by which ESMTP parameters hold any octets. Serves the checks of DSN parameters, and sessions that tell of clients. */

/** Every octet of the text in UTF-8 that is no printable ASCII, and `+` and `=`, becomes `+` and two hexadecimal digits. */
export function encodeXtext(text: string): string {
  return text.replace(/[^!-*,-<>-~]+/gu, (part) => {
    let encoded = "";
    for (const octet of Buffer.from(part)) {
      encoded += `+${octet.toString(16).toUpperCase().padStart(2, "0")}`;
    }
    return encoded;
  });
}
