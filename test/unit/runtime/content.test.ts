/** Contents in parts: pulled on credit only, copied, let go of when the message is settled. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { PART_OCTETS } from "../../../src/messages/requests.js";
import { LargeContent, type PartedContent, type PartSink, StreamedContent } from "../../../src/runtime/content.js";

class Parts implements PartSink {
  readonly parts: Buffer[] = [];
  isComplete = false;
  error: unknown;
  private wake: () => void = () => {};

  /** Memory that was used before: what stands in it must not show. */
  spare(): ArrayBuffer {
    return new Uint8Array(PART_OCTETS).fill(0xaa).buffer;
  }

  part(_slot: number, buffer: ArrayBuffer, octets: number, isLast: boolean): void {
    assert.ok(!this.isComplete, "nothing follows the last part");
    assert.ok(octets <= PART_OCTETS);
    this.parts.push(Buffer.from(buffer, 0, octets));
    this.isComplete = isLast;
    this.wake();
  }

  contentFailed(_slot: number, error: unknown): void {
    this.error = error;
    this.wake();
  }

  get octets(): Buffer {
    return Buffer.concat(this.parts);
  }

  /** Gives one credit after the other until the content has come or failed. */
  async drain(content: PartedContent): Promise<void> {
    while (!this.isComplete && this.error === undefined) {
      const answered = new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      content.credit();
      await answered;
    }
  }
}

async function* generate(...chunks: unknown[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    yield chunk as Uint8Array;
  }
}

describe("a large message in memory", () => {
  test("octets are cut into parts, and are the caller's own again at once", async () => {
    const octets = Buffer.alloc(PART_OCTETS * 2 + 5, "abc");
    const expected = Buffer.from(octets);
    const parts = new Parts();
    const content = new LargeContent(0, parts, octets);
    octets.fill(0);
    await parts.drain(content);
    assert.equal(parts.parts.length, 3);
    assert.ok(parts.octets.equals(expected));
  });

  test("a string is cut between characters", async () => {
    const text = `x${"😀ü".repeat(200_000)}\ud800`;
    const parts = new Parts();
    await parts.drain(new LargeContent(0, parts, text));
    assert.ok(parts.octets.equals(Buffer.from(text)));
  });

  test("nothing goes without credit, and nothing after it was stopped", () => {
    const parts = new Parts();
    const content = new LargeContent(0, parts, Buffer.alloc(PART_OCTETS + 1));
    assert.equal(parts.parts.length, 0);
    content.credit();
    content.stop();
    content.credit();
    assert.equal(parts.parts.length, 1);
  });
});

describe("a streamed content", () => {
  test("is not read before the first credit", async () => {
    let reads = 0;
    const source = new Readable({
      read() {
        reads++;
        this.push(null);
      },
    });
    const parts = new Parts();
    const content = new StreamedContent(0, parts, source);
    await turn();
    assert.equal(reads, 0);
    await parts.drain(content);
    assert.ok(reads > 0);
    assert.equal(parts.octets.length, 0);
  });

  for (const [name, source, expected] of [
    ["octets", () => Readable.from([Buffer.from("ab"), Buffer.from("c")]), "abc"],
    ["strings, a pair of surrogates torn apart", () => generate("x\ud83d", "\ude00y", "", "ü"), "x😀yü"],
    ["half a pair at the end", () => generate("x\ud83d"), "x\ufffd"],
    ["strings of a decoding stream", () => Readable.from([Buffer.from("häuser")]).setEncoding("utf8"), "häuser"],
    ["nothing", () => generate(), ""],
    ["empty chunks", () => generate(Buffer.alloc(0), "", Buffer.from("z")), "z"],
  ] as const) {
    test(`gives ${name}`, async () => {
      const parts = new Parts();
      await parts.drain(new StreamedContent(0, parts, source()));
      assert.equal(parts.octets.toString(), expected);
    });
  }

  test("large and small chunks are cut and joined without loss", async () => {
    const chunks = [1, PART_OCTETS * 3 + 1, 70_000, 0, 5, PART_OCTETS, 64 * 1024].map((size, index) =>
      Buffer.alloc(size, String(index)),
    );
    const parts = new Parts();
    await parts.drain(new StreamedContent(0, parts, generate(...chunks)));
    assert.ok(parts.octets.equals(Buffer.concat(chunks)));
    assert.ok(parts.parts.length < 12, "small chunks went together");
  });

  test("a source may use a chunk's memory again for the next one", async () => {
    async function* reuse(): AsyncGenerator<Uint8Array> {
      const chunk = Buffer.alloc(10_000);
      for (let round = 0; round < 20; round++) {
        yield chunk.fill(round);
      }
    }
    const parts = new Parts();
    await parts.drain(new StreamedContent(0, parts, reuse()));
    for (let round = 0; round < 20; round++) {
      assert.equal(parts.octets[round * 10_000 + 9_999], round);
    }
  });

  test("while the worker has nothing else, what there is goes at once", async () => {
    let release: () => void = () => {};
    async function* trickle(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("now");
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    }
    const parts = new Parts();
    const content = new StreamedContent(0, parts, trickle());
    for (let credit = 0; credit < 4; credit++) {
      content.credit();
    }
    await turn();
    assert.equal(parts.octets.toString(), "now");
    release();
    await turn();
    assert.ok(parts.isComplete);
  });

  test("reads no further than its credits", async () => {
    let yielded = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        yielded++;
        yield Buffer.alloc(PART_OCTETS);
      }
    }
    const parts = new Parts();
    const content = new StreamedContent(0, parts, endless());
    content.credit();
    content.credit();
    for (let index = 0; index < 20; index++) {
      await turn();
    }
    assert.equal(parts.parts.length, 2);
    assert.equal(yielded, 2);
    content.stop();
  });

  for (const [name, source] of [
    ["that throws", () => generateThenThrow()],
    ["that fails as a Readable", () => new Readable({ read: (): void => void failing.destroy(new Error("torn")) })],
    ["that gives something else", () => generate("fine", 5)],
  ] as const) {
    let made: unknown;
    test(`one ${name} has failed`, async () => {
      made = source();
      failing = made as Readable;
      const parts = new Parts();
      await parts.drain(new StreamedContent(0, parts, made as Readable));
      assert.match(String(parts.error), /torn|neither a string nor a Uint8Array/);
      assert.ok(!parts.isComplete);
    });
  }

  test("one that fails before its turn has failed, and ends no process", async () => {
    const source = new Readable({ read() {} });
    const parts = new Parts();
    new StreamedContent(0, parts, source);
    source.destroy(new Error("torn"));
    await turn();
    assert.match(String(parts.error), /torn/);
  });

  test("a Readable is destroyed when the message is settled", async () => {
    for (const credits of [0, 1]) {
      const source = new Readable({ read() {} });
      const closed = once(source, "close");
      const content = new StreamedContent(0, new Parts(), source);
      if (credits > 0) {
        content.credit();
      }
      await turn();
      content.stop();
      await closed;
      assert.ok(source.destroyed);
    }
  });

  test("a source that throws when it is let go of disturbs nobody", () => {
    const source = {
      [Symbol.asyncIterator]: () => source,
      next: () => new Promise<never>(() => {}),
      return: () => {
        throw new Error("stuck");
      },
    };
    const content = new StreamedContent(0, new Parts(), source);
    content.credit();
    content.stop();
  });

  test("a generator is returned when the message is settled", async () => {
    let isCleanedUp = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield Buffer.alloc(PART_OCTETS);
        }
      } finally {
        isCleanedUp = true;
      }
    }
    const parts = new Parts();
    const generator = source();
    const content = new StreamedContent(0, parts, generator);
    content.credit();
    await turn();
    content.stop();
    content.credit();
    await turn();
    assert.ok(isCleanedUp);
    assert.equal(parts.parts.length, 1);
    const unread = source();
    new StreamedContent(0, parts, unread).stop();
    assert.deepEqual(await unread.next(), { done: true, value: undefined });
  });
});

let failing: Readable;

async function* generateThenThrow(): AsyncGenerator<Uint8Array> {
  yield Buffer.from("x");
  throw new Error("torn");
}
