/** What goes wrong at a server, chosen from a seed by the driver and carried out by `house.ts`: plain data, since it crosses between processes. */
import type { Order } from "../../src/testing/index.js";
import type { ChaosHost } from "./hosts.js";
import type { Random } from "./random.js";

/** An order to a server, for a while. */
export type Mischief =
  | { readonly kind: "reset" | "cut" }
  /** New connections are refused; `restart` cuts the old ones too. */
  | { readonly kind: "refuse" | "restart"; readonly forMs: number }
  /** Stopped in the middle of whatever it does: it takes connections, as the kernel does for a stopped process, and says nothing. */
  | { readonly kind: "hang"; readonly forMs: number }
  /** No answer at these stages. */
  | { readonly kind: "stall"; readonly stages: readonly string[]; readonly forMs: number }
  | { readonly kind: "order"; readonly order: Order; readonly forMs: number };

/** Only what speaks of relays: the recipients of lookups have one truth. */
const RELAYED = /<r\d\./;
/** A relay's second recipient and those behind it. */
const LATER = /^r[1-9]\./;

/** What servers of both kinds of mail do. */
const MAIL_ORDERS: readonly Order[] = [
  { on: "greeting", reply: "421 4.7.0 too many connections", afterwards: "close" },
  { on: "greeting", reply: "554 5.3.2 no service here", afterwards: "close" },
  { on: "MAIL", reply: "451 4.3.0 try again later" },
  { on: "MAIL", reply: "550 5.1.8 not from this sender" },
  { on: "MAIL", reply: "421 4.3.2 going down", afterwards: "close" },
  { on: "MAIL", afterwards: "reset" },
  { on: "RCPT", reply: "450 4.2.1 busy" },
  { on: "RCPT", reply: "452 4.5.3 too many recipients" },
  { on: "RCPT", match: RELAYED, reply: "550 5.1.1 no such user" },
  { on: "RCPT", reply: "421 4.3.2 going down", afterwards: "close" },
  { on: "RCPT", afterwards: "cut" },
  { on: "DATA", reply: "451 4.3.0 no" },
  { on: "DATA", reply: "554 5.7.1 no" },
  { on: "DATA", reply: "421 4.3.2 going down", afterwards: "close" },
  { on: "DATA", afterwards: "reset" },
  { on: "content", afterwards: "reset" },
  { on: "terminator", afterwards: "reset" },
  { on: "terminator", keepReply: true, afterwards: "reset" },
  { on: "terminator", keepReply: true, afterwards: "cut" },
  { on: "terminator", bytes: "25", afterwards: "cut" },
  { on: "EHLO", afterwards: "cut" },
  { on: "greeting", afterwards: "reset" },
  { on: "RSET", afterwards: "cut" },
  { on: "VRFY", reply: "451 4.3.0 not now" },
];
/** One reply behind the terminator: with LMTP each recipient has its own. */
const SMTP_ORDERS: readonly Order[] = [
  { on: "terminator", reply: "554 5.6.0 not like this" },
  { on: "terminator", reply: "451 4.3.0 not now" },
  { on: "terminator", reply: "421 4.3.2 going down", afterwards: "close" },
  { on: "terminator", reply: "garbage" },
];
/**
 * A server that leaves replies out gives none any more, or is gone. One that leaves some out and then goes on answering lies about
 * the next message: that is the assumption of docs/reliability.md.
 */
const LMTP_ORDERS: readonly Order[] = [
  { on: "delivery", reply: "452 4.2.2 mailbox full" },
  { on: "delivery", reply: "550 5.2.1 mailbox closed" },
  { on: "delivery", match: LATER, reply: "452 4.2.2 mailbox full" },
  { on: "delivery", match: LATER, afterwards: "silence" },
  { on: "delivery", match: LATER, afterwards: "close" },
  { on: "delivery", match: LATER, afterwards: "reset" },
  { on: "delivery", keepReply: true, afterwards: "close" },
  { on: "delivery", keepReply: true, afterwards: "silence" },
  { on: "delivery", reply: "421 4.3.2 going down", afterwards: "close" },
  { on: "LHLO", afterwards: "cut" },
];
const SECURE_ORDERS: readonly Order[] = [
  { on: "BDAT", reply: "451 4.3.0 no" },
  { on: "BDAT", afterwards: "reset" },
  { on: "STARTTLS", reply: "454 4.7.0 not now" },
  { on: "STARTTLS", afterwards: "cut" },
  { on: "login", reply: "454 4.7.0 not now" },
];
const IMAP_ORDERS: readonly Order[] = [
  { on: "greeting", bytes: "* BYE busy\r\n", afterwards: "close" },
  { on: "greeting", afterwards: "reset" },
  { on: "CAPABILITY", afterwards: "cut" },
  { on: "login", reply: "{tag} NO [UNAVAILABLE] later" },
  { on: "AUTHENTICATE", afterwards: "reset" },
  { on: "challenge", afterwards: "cut" },
];
/** A host that does not take what it is told of a client. */
const CLIENT_ORDERS: Readonly<Record<ChaosHost["client"], readonly Order[]>> = {
  none: [],
  "proxy-v2": [],
  xforward: [
    { on: "XFORWARD", afterwards: "cut" },
    { on: "XFORWARD", reply: "421 4.3.2 going down", afterwards: "close" },
  ],
  xclient: [
    { on: "XCLIENT", afterwards: "reset" },
    { on: "XCLIENT", reply: "421 4.7.0 not you", afterwards: "close" },
    { on: "XCLIENT", reply: "550 5.7.0 not allowed" },
  ],
  id: [{ on: "ID", afterwards: "cut" }],
};
const MAIL_STAGES = [
  "greeting",
  "EHLO",
  "LHLO",
  "XCLIENT",
  "XFORWARD",
  "MAIL",
  "RCPT",
  "DATA",
  "BDAT",
  "terminator",
  "STARTTLS",
  "AUTH",
  "QUIT",
];
const IMAP_STAGES = ["greeting", "CAPABILITY", "ID", "AUTHENTICATE", "challenge", "LOGIN", "LOGOUT"];

/** What it is counted as. */
export function nameOf(mischief: Mischief): string {
  if (mischief.kind !== "order") {
    return mischief.kind;
  }
  const { on, reply, bytes, afterwards } = mischief.order;
  return [on, typeof reply === "string" ? reply.split(" ", 1)[0] : bytes && "bytes", afterwards]
    .filter((part) => part !== undefined)
    .join(" ");
}

/** What a server of `host` does next. */
export function chooseMischief(host: ChaosHost, random: Random): Mischief {
  const isImap = host.protocol === "imap";
  const kind = random.pick([
    "reset",
    "cut",
    "refuse",
    "restart",
    "hang",
    "stall",
    "stall",
    "order",
    "order",
    "order",
    "order",
  ] as const);
  if (kind === "reset" || kind === "cut") {
    return { kind };
  }
  if (kind === "refuse" || kind === "restart") {
    return { kind, forMs: random.integer(20, 800) };
  }
  if (kind === "hang") {
    return { kind, forMs: Math.round(random.spread(100, 6_000)) };
  }
  if (kind === "stall") {
    const stages = isImap ? IMAP_STAGES : MAIL_STAGES;
    return { kind, stages: stages.filter(() => random.chance(0.3)), forMs: Math.round(random.spread(20, 2_500)) };
  }
  const orders = isImap
    ? [...IMAP_ORDERS, ...CLIENT_ORDERS[host.client]]
    : [
        ...MAIL_ORDERS,
        ...(host.protocol === "lmtp" ? LMTP_ORDERS : SMTP_ORDERS),
        ...(host.isSecure ? SECURE_ORDERS : []),
        ...CLIENT_ORDERS[host.client],
      ];
  return { kind, order: { ...random.pick(orders), times: random.integer(1, 15) }, forMs: random.integer(200, 2_000) };
}
