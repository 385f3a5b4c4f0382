/** Whether text needs SMTPUTF8 (RFC 6531). */
export function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) > 126) {
      return false;
    }
  }
  return true;
}
