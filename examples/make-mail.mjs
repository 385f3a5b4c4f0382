#!/usr/bin/env node
/**
 * Writes the mailbox of examples/mail: a few hundred messages as varied as a real one, always the same bytes.
 *
 *     node examples/make-mail.mjs [FOLDER] [COUNT]
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { base64Lines, Dice, encodedHeader, pdf, png, quotedPrintable, wrap } from "./mail-parts.mjs";
import { DOT_LINES, LANGUAGES, MACHINE_LINES, PATCH } from "./mail-texts.mjs";

const folder = process.argv[2] ?? fileURLToPath(new URL("mail", import.meta.url));
const count = Number(process.argv[3] ?? 240);
const dice = new Dice(20220828);
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DOMAINS = ["example.com", "example.net", "mail.example.org", "lists.example.net", "shop.example"];
const earlier = []; // Message-IDs to answer to

const pad = (number, digits = 2) => String(number).padStart(digits, "0");
const filled = (line) => line.replace(/%n/g, () => String(dice.between(1, 999)));

/** What every message needs to know before it is written. */
function draft(index) {
  const tongue = dice.pick(Object.keys(LANGUAGES).concat("en", "en", "en", "de", "de", "fr"));
  const words = LANGUAGES[tongue];
  const date = new Date(Date.UTC(2024, 2, 4, 6, 0, 0) + index * 5_417_000);
  const zone = dice.pick(["+0000", "+0100", "+0200", "-0500", "+0900"]);
  return {
    index,
    tongue,
    words,
    name: dice.pick(words.names),
    mailbox: `${dice.pick(["info", "office", "sales", "h.meier", "post", "noreply", "m.rossi", "team"])}@${dice.pick(DOMAINS)}`,
    subject: `${dice.pick(words.subjects)}${dice.below(3) === 0 ? ` (${index})` : ""}`,
    date: `${DAYS[date.getUTCDay()]}, ${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()} ${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}:${pad(date.getUTCSeconds())} ${zone}`,
    id: `<${dice.hex(16)}.${index}@${dice.pick(DOMAINS)}>`,
  };
}

/** So many sentences; none twice until all were said. */
function sentences(words, howMany) {
  const left = [];
  return Array.from({ length: howMany }, () => {
    if (left.length === 0) {
      left.push(...words.sentences);
    }
    return left.splice(dice.below(left.length), 1)[0];
  });
}

function paragraphs(words, howMany) {
  const out = [];
  for (let at = 0; at < howMany; at++) {
    out.push(wrap(sentences(words, dice.between(1, 4)).join(" ")));
  }
  return out.join("\n\n");
}

function letter(mail, howMany = dice.between(1, 5)) {
  return `${dice.pick(mail.words.greetings)}\n\n${paragraphs(mail.words, howMany)}\n\n${dice.pick(mail.words.closings)}\n${mail.name}\n`;
}

function html(mail, text) {
  const rows = text
    .split("\n\n")
    .map((part) => `<p>${part.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/\n/g, "<br>\n")}</p>`)
    .join("\n");
  return `<!DOCTYPE html>\n<html lang="${mail.tongue}"><head><meta charset="utf-8"><title>${mail.id.slice(1, 9)}</title>\n<style>\n.note { color: #333; font: 15px/1.4 sans-serif }\n..hidden { display: none }\n</style></head>\n<body class="note">\n${rows}\n</body></html>\n`;
}

/** The header that every message has. A field's value may hold folded lines. */
function header(mail, fields) {
  const quoted = encodedHeader(mail.name, dice.pick(["Q", "B"]));
  const received = Array.from({ length: dice.below(4) }, (_, hop) => [
    "Received",
    `from mx${hop}.${dice.pick(DOMAINS)} (mx${hop} [192.0.2.${dice.between(1, 254)}])\n\tby gate.example.org with ESMTPS id ${dice.hex(12)}\n\tfor <reader@example.org>; ${mail.date}`,
  ]);
  const all = [
    ...(mail.isBounce ? [["Return-Path", "<>"]] : dice.below(3) === 0 ? [["Return-Path", `<${mail.mailbox}>`]] : []),
    ...received,
    ...(dice.below(4) === 0
      ? [
          [
            "DKIM-Signature",
            `v=1; a=rsa-sha256; c=relaxed/relaxed; d=${dice.pick(DOMAINS)}; s=k1;\n\tbh=${Buffer.from(dice.hex(32)).toString("base64")};\n\tb=${wrap(
              Buffer.from(dice.hex(128))
                .toString("base64")
                .replace(/(.{60})/g, "$1 "),
              64,
            ).replaceAll("\n", "\n\t ")}`,
          ],
        ]
      : []),
    ["From", quoted === mail.name ? `"${mail.name}" <${mail.mailbox}>` : `${quoted}\n <${mail.mailbox}>`],
    ["To", dice.pick(["reader@example.org", "Reading Desk <desk@example.org>", "undisclosed-recipients:;"])],
    ["Subject", encodedHeader(mail.subject, dice.pick(["Q", "B"]))],
    ["Date", mail.date],
    ["Message-ID", mail.id],
    ...(fields.some(([name]) => name === "Content-Type") ? [["MIME-Version", "1.0"]] : []),
    ...fields,
  ];
  return `${all.map(([name, value]) => `${name}: ${value}`).join("\n")}\n`;
}

const PLAIN = 'text/plain; charset="utf-8"';

function coded(transfer, body) {
  if (transfer === "quoted-printable") {
    return quotedPrintable(body);
  }
  return transfer === "base64" ? `${base64Lines(Buffer.from(body))}\n` : body;
}

function text(mail, transfer, body) {
  return `Content-Type: ${mail.type ?? PLAIN}\nContent-Transfer-Encoding: ${transfer}\n\n${coded(transfer, body)}`;
}

function attachment(type, name, bytes) {
  return `Content-Type: ${type}; name="${name}"\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="${name}"\n\n${base64Lines(bytes)}\n`;
}

function multipart(mail, kind, parts, extra = []) {
  const boundary = `=_${dice.hex(20)}`;
  const body = parts.map((part) => `--${boundary}\n${part}`).join("\n");
  return `${header(mail, [["Content-Type", `multipart/${kind};\n boundary="${boundary}"`], ...extra])}\nThis is a message of several parts in MIME format.\n\n${body}\n--${boundary}--\n`;
}

function simple(mail, transfer, body, extra = []) {
  return `${header(mail, [["Content-Type", mail.type ?? PLAIN], ["Content-Transfer-Encoding", transfer], ...extra])}\n${coded(transfer, body)}`;
}

/** Each kind of message, with its weight. A kind gives text with LF; bytes that are not UTF-8 come as a Buffer. */
const KINDS = {
  plain: [10, (mail) => simple({ ...mail, type: "text/plain; charset=utf-8; format=flowed" }, "8bit", letter(mail))],
  "quoted-printable": [8, (mail) => simple(mail, "quoted-printable", letter(mail))],
  base64: [4, (mail) => simple(mail, "base64", letter(mail))],
  alternative: [
    9,
    (mail) => {
      const body = letter(mail);
      return multipart(mail, "alternative", [
        text(mail, "quoted-printable", body),
        text(
          { ...mail, type: "text/html; charset=utf-8" },
          dice.pick(["quoted-printable", "8bit", "base64"]),
          html(mail, body),
        ),
      ]);
    },
  ],
  newsletter: [
    4,
    (mail) =>
      simple({ ...mail, type: "text/html; charset=utf-8" }, "8bit", html(mail, letter(mail, 12)), [
        ["List-Unsubscribe", `<https://shop.example/u/${dice.hex(8)}>, <mailto:leave@lists.example.net>`],
        ["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"],
        ["Precedence", "bulk"],
      ]),
  ],
  picture: [
    5,
    (mail) =>
      multipart(mail, "mixed", [
        text(mail, "8bit", letter(mail, 1)),
        attachment("image/png", `photo-${mail.index}.png`, png(dice, dice.between(16, 60), dice.between(16, 50))),
      ]),
  ],
  document: [
    5,
    (mail) =>
      multipart(mail, "mixed", [
        text(mail, "quoted-printable", letter(mail, 2)),
        attachment(
          "application/pdf",
          `document-${mail.index}.pdf`,
          pdf(
            mail.id,
            Array.from({ length: dice.between(8, 45) }, () => filled(dice.pick(MACHINE_LINES))),
          ),
        ),
      ]),
  ],
  table: [
    3,
    (mail) =>
      multipart(mail, "mixed", [
        text(mail, "8bit", letter(mail, 1)),
        attachment(
          "text/csv",
          "figures.csv",
          Buffer.from(
            `id;name;amount\r\n${Array.from({ length: dice.between(10, 200) }, (_, row) => `${row};${dice.pick(mail.words.names)};${dice.below(100000) / 100}`).join("\r\n")}\r\n`,
          ),
        ),
      ]),
  ],
  list: [
    10,
    (mail) => {
      const parent = dice.pick(earlier) ?? mail.id;
      const quoted = `On another day somebody wrote:\n${paragraphs(LANGUAGES.en, 2).replace(/^/gm, "> ")}\n\n`;
      return simple(
        { ...mail, subject: `[brewers] Re: ${mail.subject}` },
        "8bit",
        `${quoted}${letter(mail, 2)}\n_______________________________________________\nbrewers mailing list -- brewers@lists.example.net\nTo unsubscribe send an email to brewers-leave@lists.example.net\n`,
        [
          ["In-Reply-To", parent],
          ["References", `${earlier.slice(-dice.between(1, 12)).join("\n ")}`],
          ["List-Id", "People who brew at home <brewers.lists.example.net>"],
          ["List-Post", "<mailto:brewers@lists.example.net>"],
          ["Errors-To", "brewers-bounces@lists.example.net"],
        ],
      );
    },
  ],
  machine: [
    7,
    (mail) =>
      `${header({ ...mail, name: "Cron Daemon", subject: `Cron <root@gate${dice.below(9)}> run-parts /etc/cron.daily` }, [["Auto-Submitted", "auto-generated"]])}\n${Array.from({ length: dice.between(4, 120) }, () => filled(dice.pick(MACHINE_LINES))).join("\n")}\n`,
  ],
  notification: [
    5,
    (mail) =>
      multipart(
        { ...mail, isBounce: true, name: "Mail Delivery System", subject: "Undelivered Mail Returned to Sender" },
        "report; report-type=delivery-status",
        [
          `Content-Type: text/plain; charset=us-ascii\n\nThis is the mail system at host mx2.example.net.\n\nYour message could not be delivered to one recipient. The reply of the\nremote host is given below; the header of your message is attached.\n\n<nobody@example.com>: host mx.example.com[192.0.2.25] said:\n    550 5.1.1 <nobody@example.com>: no such mailbox (in reply to RCPT TO)\n`,
          `Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx2.example.net\nArrival-Date: ${mail.date}\n\nFinal-Recipient: rfc822; nobody@example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such mailbox\n`,
          `Content-Type: message/rfc822-headers\n\nFrom: reader@example.org\nTo: nobody@example.com\nMessage-ID: ${dice.pick(earlier) ?? mail.id}\n`,
        ],
        [["Auto-Submitted", "auto-replied"]],
      ),
  ],
  invitation: [
    3,
    (mail) =>
      multipart(mail, "alternative", [
        text(mail, "8bit", letter(mail, 1)),
        text(
          { ...mail, type: "text/calendar; charset=utf-8; method=REQUEST" },
          "8bit",
          `BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:${dice.hex(20)}\nDTSTAMP:20240305T090000Z\nDTSTART:20240312T13${pad(dice.below(60))}00Z\nSUMMARY:${mail.subject}\nORGANIZER:mailto:${mail.mailbox}\nEND:VEVENT\nEND:VCALENDAR\n`,
        ),
      ]),
  ],
  patch: [
    4,
    (mail) =>
      simple(
        { ...mail, subject: `[PATCH v${dice.between(1, 6)}] spool: treat a lone dot as the end` },
        "8bit",
        `${paragraphs(LANGUAGES.en, 1)}\n\nSigned-off-by: ${mail.name} <${mail.mailbox}>\n${PATCH.join("\n")}\n`,
      ),
  ],
  forward: [
    3,
    (mail) =>
      multipart({ ...mail, subject: `Fwd: ${mail.subject}` }, "mixed", [
        text(mail, "8bit", letter(mail, 1)),
        `Content-Type: message/rfc822\nContent-Disposition: inline\n\nFrom: desk@example.net\nTo: team@example.net\nSubject: ${encodedHeader(mail.subject, "Q")}\nMessage-ID: <${dice.hex(12)}@example.net>\n\n${paragraphs(LANGUAGES.en, 2)}\n`,
      ]),
  ],
  signed: [
    2,
    (mail) =>
      multipart(mail, 'signed; micalg=pgp-sha256;\n protocol="application/pgp-signature"', [
        text(mail, "quoted-printable", letter(mail, 2)),
        `Content-Type: application/pgp-signature; name="signature.asc"\n\n-----BEGIN PGP SIGNATURE-----\n\n${base64Lines(Buffer.from(dice.hex(400), "hex"))}\n=${dice.hex(4)}\n-----END PGP SIGNATURE-----\n`,
      ]),
  ],
  dots: [
    6,
    (mail) =>
      simple(
        mail,
        "8bit",
        `${dice.pick(DOT_LINES)}\n${Array.from({ length: dice.between(5, 60) }, () => (dice.below(2) === 0 ? dice.pick(DOT_LINES) : dice.pick(mail.words.sentences))).join("\n")}\n${dice.pick([".", "..", ". "])}\n`,
      ),
  ],
  "long-lines": [
    5,
    (mail) =>
      simple(
        mail,
        "8bit",
        `${[998, 996, 997, 999, 2000, dice.between(4096, 20000)].map((octets) => exactly(octets, mail.words.sentences)).join("\n")}\n${".".padEnd(998, "x")}\n`,
      ),
  ],
  latin1: [
    4,
    (mail) => {
      const words = LANGUAGES[dice.pick(["de", "fr", "es", "pt", "sv"])];
      const body = letter({ ...mail, words, name: dice.pick(words.names) });
      return Buffer.concat([
        Buffer.from(
          header({ ...mail, words }, [
            ["Content-Type", "text/plain; charset=iso-8859-1"],
            ["Content-Transfer-Encoding", "8bit"],
          ]),
        ),
        Buffer.from("\n"),
        Buffer.from(body.replace(/[^\u0000-\u00ff]/g, "?"), "latin1"),
      ]);
    },
  ],
  empty: [2, (mail) => `${header(mail, [])}${dice.pick(["", "\n", "\n\n\n\n"])}`],
};

/** A line of exactly so many octets, cut at a letter and filled up. */
function exactly(octets, sentences) {
  let line = "";
  while (Buffer.byteLength(line) < octets) {
    line += `${dice.pick(sentences)} `;
  }
  while (Buffer.byteLength(line) > octets) {
    line = line.slice(0, -1);
  }
  return line.trimEnd() + "~".repeat(octets - Buffer.byteLength(line.trimEnd()));
}

/** About one megabyte: a night's log in clear and a large picture. */
function megabyte(mail) {
  const log = Array.from({ length: 9000 }, (_, line) => `${pad(line, 5)} ${filled(dice.pick(MACHINE_LINES))}`).join(
    "\n",
  );
  return multipart({ ...mail, subject: "The night's log, and the chart you asked for" }, "mixed", [
    text(mail, "8bit", `${letter(mail, 1)}\n${log}\n`),
    attachment("image/png", "chart.png", png(dice, 400, 300)),
  ]);
}

/** Newlines and the end of the file, as different writers leave them. */
function finish(bytes, how) {
  let out = bytes;
  if (how.newline === "crlf" || how.newline === "bare-cr") {
    out = Buffer.from(out.toString("latin1").replaceAll("\n", "\r\n"), "latin1");
  }
  if (how.newline === "mixed") {
    out = Buffer.from(
      out.toString("latin1").replace(/\n/g, () => (dice.below(2) === 0 ? "\r\n" : "\n")),
      "latin1",
    );
  }
  // An old word processor's paragraph: the last line break of the body is a CR alone.
  if (how.newline === "bare-cr") {
    out = Buffer.from(out.toString("latin1").replace(/\r\n(?=[^\r\n]*\r\n$)/, "\r"), "latin1");
  }
  if (how.ending === "unfinished") {
    while (out.at(-1) === 10 || out.at(-1) === 13) {
      out = out.subarray(0, -1);
    }
  }
  if (how.ending === "cr") {
    out = Buffer.concat([out.subarray(0, out.at(-2) === 13 ? -2 : -1), Buffer.from("\r")]);
  }
  if (how.ending === "dot") {
    out = Buffer.concat([out, Buffer.from(".")]);
  }
  return out;
}

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
const names = Object.keys(KINDS);
const deck = names.flatMap((name) => new Array(KINDS[name][0]).fill(name));
let sizeOctets = 0;
for (let index = 1; index <= count; index++) {
  const mail = draft(index);
  // Every kind once before chance decides.
  const kind = index === 150 ? "megabyte" : (names[index - 1] ?? dice.pick(deck));
  const made = kind === "megabyte" ? megabyte(mail) : KINDS[kind][1](mail);
  const newline = dice.pick(["crlf", "crlf", "crlf", "lf", "lf", "mixed"]);
  const ending = dice.pick(["whole", "whole", "whole", "whole", "whole", "whole", "unfinished", "dot"]);
  const special = {
    30: { newline: "bare-cr", ending: "whole" },
    31: { newline: "crlf", ending: "cr" },
    32: { newline: "lf", ending: "unfinished" },
    33: { newline: "crlf", ending: "dot" },
  };
  const bytes = finish(Buffer.from(made), special[index] ?? { newline, ending });
  await writeFile(`${folder}/${pad(index, 4)}-${kind}.eml`, bytes);
  sizeOctets += bytes.length;
  earlier.push(mail.id);
}
console.log(`${count} messages, ${(sizeOctets / 1e6).toFixed(2)} MB, in ${folder}`);
