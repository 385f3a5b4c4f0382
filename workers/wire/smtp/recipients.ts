/** Which recipients go into one transaction, where a host takes only so many of them, or of their domains (RFC 9422). */

/** As many as fit into one transaction, in their order; those that would bring one domain too many are left for later. */
export function takePortion(
  recipients: readonly string[],
  left: readonly number[],
  most: number,
  mostDomains: number,
): number[] {
  if (mostDomains === Number.POSITIVE_INFINITY) {
    return left.slice(0, most);
  }
  const domains = new Set<string>();
  const portion: number[] = [];
  for (const index of left) {
    const domain = domainOf(recipients[index]!);
    if (portion.length < most && (domains.has(domain) || domains.size < mostDomains)) {
      domains.add(domain);
      portion.push(index);
    }
  }
  return portion;
}

/** As it is compared. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1).toLowerCase();
}
