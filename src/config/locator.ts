/**
 * Finds the line of every key in a TOML document, because the TOML library does not report it. Used by toml.ts, which passes only
 * documents that the library has accepted. So this follows the structure and need not validate it.
 */

/** A key, table, or item of an array, and where it stands. */
export interface Located {
  /** Counted from 1. */
  line: number;
  readonly children: Map<string, Located>;
  /** For an array of tables: the item that headers such as `[array.table]` speak of. */
  last?: Located;
}

/** The tree of all keys of a document; items of arrays stand under "0", "1" and so on. */
export function locateKeys(toml: string): Located {
  return new Locator(toml).document();
}

const BARE = /[A-Za-z0-9_-]/;
const ESCAPES: Readonly<Record<string, string>> = { b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", e: "\u001b" };
const HEX_ESCAPES: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

class Locator {
  private position = 0;
  private line = 1;

  constructor(private readonly text: string) {
    if (text.startsWith("\ufeff")) {
      this.position = 1;
    }
  }

  document(): Located {
    const root: Located = { line: 1, children: new Map() };
    let table = root;
    for (;;) {
      this.skipBlank();
      const before = this.position;
      if (this.position >= this.text.length) {
        return root;
      }
      if (this.peek() === "[") {
        table = this.header(root);
      } else {
        this.keyAndValue(table);
      }
      // A document that the library has read moves on with each statement; the check makes an endless loop impossible.
      if (this.position === before) {
        this.advance();
      }
    }
  }

  /** `[a.b]` or `[[a.b]]`: the table that the following keys belong to. */
  private header(root: Located): Located {
    const { line } = this;
    this.advance();
    const isArray = this.peek() === "[";
    if (isArray) {
      this.advance();
    }
    const path = this.key();
    for (let bracket = isArray ? 2 : 1; bracket > 0 && this.peek() === "]"; bracket--) {
      this.advance();
    }
    let table = root;
    path.forEach((name, index) => {
      const child = childOf(table, name, line);
      table = child.last !== undefined && !(isArray && index === path.length - 1) ? child.last : child;
    });
    if (!isArray) {
      table.line = line;
      return table;
    }
    const item = childOf(table, String(table.children.size), line);
    table.last = item;
    return item;
  }

  private keyAndValue(table: Located): void {
    let node = table;
    const { line } = this;
    for (const name of this.key()) {
      node = childOf(node, name, line);
    }
    this.skipSpaces();
    if (this.peek() === "=") {
      this.advance();
    }
    this.value(node);
  }

  /** A dotted key; leaves the position behind it and the spaces after it. */
  private key(): string[] {
    const path: string[] = [];
    for (;;) {
      this.skipSpaces();
      const quote = this.peek();
      path.push(quote === '"' || quote === "'" ? this.string() : this.bareKey());
      this.skipSpaces();
      if (this.peek() !== ".") {
        return path;
      }
      this.advance();
    }
  }

  private bareKey(): string {
    const start = this.position;
    while (BARE.test(this.peek())) {
      this.position++;
    }
    return this.text.slice(start, this.position);
  }

  private value(node: Located): void {
    this.skipBlank();
    const first = this.peek();
    if (first === '"' || first === "'") {
      this.string();
    } else if (first === "[") {
      this.array(node);
    } else if (first === "{") {
      this.inlineTable(node);
    } else {
      while (this.position < this.text.length && !",]}#\r\n".includes(this.peek())) {
        this.position++;
      }
    }
  }

  private array(node: Located): void {
    this.advance();
    for (let index = 0; ; index++) {
      this.skipBlank();
      if (this.position >= this.text.length || this.peek() === "]") {
        break;
      }
      const before = this.position;
      this.value(childOf(node, String(index), this.line));
      this.skipBlank();
      if (this.peek() === ",") {
        this.advance();
      }
      if (this.position === before) {
        break;
      }
    }
    this.advance();
  }

  private inlineTable(node: Located): void {
    this.advance();
    for (;;) {
      this.skipBlank();
      if (this.position >= this.text.length || this.peek() === "}") {
        break;
      }
      const before = this.position;
      this.keyAndValue(node);
      this.skipBlank();
      if (this.peek() === ",") {
        this.advance();
      }
      if (this.position === before) {
        break;
      }
    }
    this.advance();
  }

  /** A string of any of the four kinds; its text matters for keys only, which are never multi-line. */
  private string(): string {
    const quote = this.peek();
    if (this.text.startsWith(quote.repeat(3), this.position)) {
      this.multiLineString(quote);
      return "";
    }
    this.advance();
    let content = "";
    while (this.position < this.text.length && this.peek() !== quote) {
      if (quote === '"' && this.peek() === "\\") {
        content += this.escape();
      } else {
        content += this.peek();
        this.advance();
      }
    }
    this.advance();
    return content;
  }

  private escape(): string {
    this.advance();
    const name = this.peek();
    this.advance();
    const digits = HEX_ESCAPES[name];
    if (digits === undefined) {
      return ESCAPES[name] ?? name;
    }
    const code = Number.parseInt(this.text.slice(this.position, this.position + digits), 16);
    this.position += digits;
    return code <= 0x10ffff ? String.fromCodePoint(code) : "";
  }

  private multiLineString(quote: string): void {
    this.position += 3;
    while (this.position < this.text.length && !this.text.startsWith(quote.repeat(3), this.position)) {
      if (quote === '"' && this.peek() === "\\") {
        this.advance();
      }
      this.advance();
    }
    // Up to two quotes more may stand before the three that end it.
    for (let count = 0; count < 5 && this.peek() === quote; count++) {
      this.advance();
    }
  }

  private skipSpaces(): void {
    while (this.peek() === " " || this.peek() === "\t") {
      this.position++;
    }
  }

  private skipBlank(): void {
    for (;;) {
      const character = this.peek();
      if (character === "#") {
        while (this.position < this.text.length && this.peek() !== "\n") {
          this.position++;
        }
      } else if (character !== "" && " \t\r\n".includes(character)) {
        this.advance();
      } else {
        return;
      }
    }
  }

  private peek(): string {
    return this.text.charAt(this.position);
  }

  private advance(): void {
    if (this.text.charCodeAt(this.position) === 10) {
      this.line++;
    }
    this.position++;
  }
}

function childOf(parent: Located, name: string, line: number): Located {
  const known = parent.children.get(name);
  if (known !== undefined) {
    return known;
  }
  const child: Located = { line, children: new Map() };
  parent.children.set(name, child);
  return child;
}
