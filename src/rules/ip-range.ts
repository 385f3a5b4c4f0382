/** IP addresses and CIDR ranges, for the keys that hold an address. node:net does the arithmetic. */
import { BlockList, isIP, SocketAddress } from "node:net";

/** An address or a range in its canonical text; `prefix` is absent for a single address. */
export interface IpRange {
  readonly address: string;
  readonly prefix?: number;
}

/**
 * One spelling for each address: lower case, `::` where it belongs, no zone. An IPv4-mapped IPv6 address
 * (RFC 4291 2.5.5.2), which is what a dual-stack listener reports, becomes the IPv4 address. `undefined`: not an address.
 */
export function canonicalAddress(text: string): string | undefined {
  const version = isIP(text);
  if (version === 0) {
    return undefined;
  }
  if (version === 4) {
    return text;
  }
  const { address } = new SocketAddress({ address: text, family: "ipv6" });
  const mapped = address.startsWith("::ffff:") ? address.slice(7) : "";
  return isIP(mapped) === 4 ? mapped : address;
}

/** An address or `address/prefix`; host bits may be set, they do not count. `undefined`: neither. */
export function parseIpRange(text: string): IpRange | undefined {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const canonical = address.includes("%") ? undefined : canonicalAddress(address);
  if (canonical === undefined) {
    return undefined;
  }
  if (slash < 0) {
    return { address: canonical };
  }
  const digits = text.slice(slash + 1);
  const prefix = /^\d{1,3}$/.test(digits) ? Number(digits) : 129;
  if (prefix > (isIP(address) === 4 ? 32 : 128)) {
    return undefined;
  }
  if (isIP(address) === isIP(canonical)) {
    return { address: canonical, prefix };
  }
  // ::ffff:a.b.c.d/n is a range of IPv4 when it fixes the 96 bits that say so; a shorter prefix is a range of IPv6.
  return prefix >= 96 ? { address: canonical, prefix: prefix - 96 } : { address: `::ffff:${canonical}`, prefix };
}

/** Addresses and ranges. Single addresses cost one look-up, however many there are; ranges are tried one by one. */
export class IpSet {
  readonly #addresses = new Set<string>();
  // One for each version, since in a list of both `::/0` would hold every IPv4 address.
  readonly #ranges4 = new BlockList();
  readonly #ranges6 = new BlockList();

  add({ address, prefix }: IpRange): void {
    if (prefix === undefined) {
      this.#addresses.add(address);
    } else if (isIP(address) === 4) {
      this.#ranges4.addSubnet(address, prefix, "ipv4");
    } else {
      this.#ranges6.addSubnet(address, prefix, "ipv6");
    }
  }

  /** `address`: canonical, or empty for one that is not there. */
  has(address: string): boolean {
    if (this.#addresses.has(address)) {
      return true;
    }
    if (address === "") {
      return false;
    }
    return isIP(address) === 4 ? this.#ranges4.check(address, "ipv4") : this.#ranges6.check(address, "ipv6");
  }
}
