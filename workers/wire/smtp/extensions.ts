/** What a peer offers in its EHLO or LHLO reply (RFC 5321 4.1.1.1). Forgotten after STARTTLS. */

export interface Extensions {
  readonly pipelining: boolean;
  readonly chunking: boolean;
  readonly binaryMime: boolean;
  readonly eightBitMime: boolean;
  /** Largest message in octets; 0 where no limit is declared; undefined without SIZE. */
  readonly sizeOctets: number | undefined;
  readonly smtputf8: boolean;
  readonly dsn: boolean;
  readonly startTls: boolean;
  readonly requireTls: boolean;
  /** Attributes of XCLIENT and XFORWARD, upper case; undefined where the command is not offered. */
  readonly xclient: readonly string[] | undefined;
  readonly xforward: readonly string[] | undefined;
  /** LIMITS (RFC 9422): most transactions of a connection, recipients of a transaction, and domains of these; `Infinity` where none is told. */
  readonly mailMax: number;
  readonly rcptMax: number;
  readonly rcptDomainMax: number;
  /** SASL mechanisms, upper case. */
  readonly auth: readonly string[];
  /** Every keyword line, as sent. */
  readonly lines: readonly string[];
}

export const NO_EXTENSIONS: Extensions = parseExtensions([]);

/** `lines` without the greeting line. */
export function parseExtensions(lines: readonly string[]): Extensions {
  const keywords = new Map<string, string[]>();
  for (const line of lines) {
    // "AUTH=PLAIN" is how servers spoke before RFC 2554, and some still say both.
    const [keyword = "", ...values] = line
      .trim()
      .replace(/^AUTH=/i, "AUTH ")
      .split(/ +/);
    const name = keyword.toUpperCase();
    keywords.set(name, [...(keywords.get(name) ?? []), ...values]);
  }
  return {
    pipelining: keywords.has("PIPELINING"),
    chunking: keywords.has("CHUNKING"),
    binaryMime: keywords.has("BINARYMIME"),
    eightBitMime: keywords.has("8BITMIME"),
    // Given twice: the larger, since the host takes so much in one of its opinions.
    sizeOctets: keywords.has("SIZE") ? Math.max(0, ...keywords.get("SIZE")!.map(sizeLimit)) : undefined,
    smtputf8: keywords.has("SMTPUTF8"),
    dsn: keywords.has("DSN"),
    startTls: keywords.has("STARTTLS"),
    requireTls: keywords.has("REQUIRETLS"),
    xclient: wordsOf(keywords.get("XCLIENT")),
    xforward: wordsOf(keywords.get("XFORWARD")),
    mailMax: limitOf(keywords.get("LIMITS"), "MAILMAX"),
    rcptMax: limitOf(keywords.get("LIMITS"), "RCPTMAX"),
    rcptDomainMax: limitOf(keywords.get("LIMITS"), "RCPTDOMAINMAX"),
    auth: wordsOf(keywords.get("AUTH")) ?? [],
    lines,
  };
}

function wordsOf(values: readonly string[] | undefined): readonly string[] | undefined {
  return values === undefined ? undefined : [...new Set(values.map((value) => value.toUpperCase()))];
}

/** RFC 9422 3: `NAME=digits`, at most six of them; what is malformed is ignored. Nobody means none by 0. */
function limitOf(values: readonly string[] | undefined, name: string): number {
  for (const value of values ?? []) {
    const [, given, digits] = /^([A-Z]+)=(\d{1,6})$/i.exec(value) ?? [];
    if (given?.toUpperCase() === name && Number(digits) > 0) {
      return Number(digits);
    }
  }
  return Number.POSITIVE_INFINITY;
}

/** A limit that is no number (SIZE=-1 has been seen) is no limit. */
function sizeLimit(value: string): number {
  return /^\d{1,15}$/.test(value) ? Number(value) : 0;
}
