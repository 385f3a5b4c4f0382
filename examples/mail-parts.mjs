/** Encodings and attachments for make-mail.mjs: what a mail program does to a text before it leaves. */
import { deflateSync } from "node:zlib";

/** A small seeded generator (mulberry32): the same seed makes the same mailbox on every machine. */
export class Dice {
  constructor(seed) {
    this.state = seed >>> 0;
  }
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
  below(limit) {
    return Math.floor(this.next() * limit);
  }
  between(low, high) {
    return low + this.below(high - low + 1);
  }
  pick(list) {
    return list[this.below(list.length)];
  }
  hex(digits) {
    let text = "";
    while (text.length < digits) {
      text += this.below(16).toString(16);
    }
    return text;
  }
}

/** Quoted-printable (RFC 2045 6.7) of text lines, soft breaks before column 76. */
export function quotedPrintable(text, charset = "utf8") {
  return text
    .split("\n")
    .map((line) => {
      const bytes = Buffer.from(line, charset);
      let out = "";
      let column = 0;
      bytes.forEach((byte, index) => {
        const isLastBlank = index === bytes.length - 1 && (byte === 0x20 || byte === 0x09);
        const isPlain = ((byte >= 0x20 && byte <= 0x7e && byte !== 0x3d) || byte === 0x09) && !isLastBlank;
        const unit = isPlain ? String.fromCharCode(byte) : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
        if (column + unit.length > 75) {
          out += "=\n";
          column = 0;
        }
        out += unit;
        column += unit.length;
      });
      return out;
    })
    .join("\n");
}

/** Base64 in lines of 76 columns. */
export function base64Lines(bytes) {
  return bytes.toString("base64").replace(/(.{76})(?=.)/g, "$1\n");
}

/** An RFC 2047 encoded header text, in words of at most 75 columns, folded. */
export function encodedHeader(text, kind) {
  if (/^[\x20-\x7e]*$/.test(text)) {
    return text;
  }
  const words = [];
  let chunk = "";
  const encode = (part) =>
    kind === "Q"
      ? `=?utf-8?Q?${Array.from(Buffer.from(part), (byte) =>
          (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
            ? String.fromCharCode(byte)
            : byte === 0x20
              ? "_"
              : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`,
        ).join("")}?=`
      : `=?UTF-8?B?${Buffer.from(part).toString("base64")}?=`;
  for (const letter of text) {
    if (encode(chunk + letter).length > 62) {
      words.push(encode(chunk));
      chunk = "";
    }
    chunk += letter;
  }
  words.push(encode(chunk));
  return words.join("\n ");
}

/** Breaks a paragraph into lines of about `columns`. */
export function wrap(text, columns = 72, prefix = "") {
  const lines = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length + 1 > columns - prefix.length) {
      lines.push(prefix + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push(prefix + line);
  return lines.join("\n");
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function pngChunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const frame = Buffer.alloc(body.length + 8);
  frame.writeUInt32BE(data.length, 0);
  body.copy(frame, 4);
  frame.writeUInt32BE(crc32(body), body.length + 4);
  return frame;
}

/** A real PNG: a seeded gradient with stripes. Stored, not compressed, so that every zlib writes the same bytes. */
export function png(dice, width, height) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const [red, green, stripe] = [dice.below(256), dice.below(256), dice.between(3, 9)];
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      rows.set(
        [(red + x * 2) & 255, (green + y * 3) & 255, (x + y) % stripe === 0 ? 255 : 40],
        y * (width * 3 + 1) + 1 + x * 3,
      );
    }
  }
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    pngChunk("IHDR", header),
    pngChunk("IDAT", deflateSync(rows, { level: 0 })),
    pngChunk("IEND", Buffer.alloc(0)),
  ]);
}

/** A one-page PDF with a correct cross-reference table. */
export function pdf(title, lines) {
  const escaped = (text) => text.replace(/[^\x20-\x7e]/g, "?").replace(/[\\()]/g, "\\$&");
  const drawn = [title, ...lines].map((line) => `(${escaped(line).slice(0, 90)}) Tj T*`).join("\n");
  const stream = `BT /F1 11 Tf 14 TL 50 780 Td\n${drawn}\nET`;
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 5 0 R >> >> /Contents 4 0 R >>",
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
  ];
  let out = "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n";
  const offsets = objects.map((object, index) => {
    const offset = out.length;
    out += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const table = offsets.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`).join("");
  out += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}`;
  out += `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${out.indexOf("xref\n0")}\n%%EOF\n`;
  return Buffer.from(out, "latin1");
}
