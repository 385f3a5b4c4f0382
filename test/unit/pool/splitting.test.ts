/** Messages to more recipients than one transaction takes: how they are split, what each recipient is told, and what happens between two transactions. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RelayJob } from "../../../src/messages/contract.js";
import { HostRig, type RigOptions } from "../../kit/host-rig.js";
import { friendly, type RigPeer } from "../../kit/rig-peer.js";

const people = (count: number, domain = "example.net") => Array.from({ length: count }, (_, at) => `u${at}@${domain}`);

/** A host that offers this, and answers as `answer` says or in a friendly way. */
function offering(keywords: readonly string[], answer: RigOptions["answer"] = () => undefined, more: RigOptions = {}) {
  return new HostRig({
    ...more,
    answer: (line, peer) => {
      if (/^(?:EHLO|LHLO)/.test(line)) {
        return ["250-host", ...keywords.map((keyword) => `250-${keyword}`), "250 PIPELINING"].join("\r\n");
      }
      return answer(line, peer) ?? friendly(line, peer);
    },
  });
}

function relay(rig: HostRig, name: string, recipients: readonly string[], details: Partial<RelayJob> = {}): number {
  const slot = rig.relay(name, Number.POSITIVE_INFINITY, { recipients, ...details });
  rig.run();
  return slot;
}

/** The envelopes that a connection saw: the recipients of each. */
function envelopes({ lines }: RigPeer): string[][] {
  const all: string[][] = [];
  for (const line of lines) {
    if (line.startsWith("MAIL")) {
      all.push([]);
    } else if (line.startsWith("RCPT")) {
      all.at(-1)!.push(/<(.*)>/.exec(line)![1]!);
    }
  }
  return all;
}

const sizes = (peer: RigPeer): number[] => envelopes(peer).map(({ length }) => length);

describe("a message to more recipients than a transaction takes", () => {
  it("is split by RCPTMAX, in order, with one result", () => {
    const rig = offering(["LIMITS RCPTMAX=2"]);
    relay(rig, "a", people(5));
    assert.deepEqual(envelopes(rig.peers[0]!), [
      ["u0@example.net", "u1@example.net"],
      ["u2@example.net", "u3@example.net"],
      ["u4@example.net"],
    ]);
    assert.deepEqual(rig.outcomes(), ["a: delivered, delivered, delivered, delivered, delivered on 1"]);
    assert.equal(rig.seen("DATA").length, 3);
    rig.checkSettled();
  });

  it("is split by limits.recipients, and by whichever limit is lower", () => {
    for (const [keywords, recipients] of [
      [[], 3],
      [["LIMITS RCPTMAX=9"], 3],
      [["LIMITS RCPTMAX=3"], 9],
      [["LIMITS MAILMAX=x RCPTMAX=0 RCPTMAX=3"], 9],
    ] as const) {
      const rig = offering(keywords, undefined, { settings: { limits: { recipients } } });
      relay(rig, "a", people(4));
      assert.deepEqual(sizes(rig.peers[0]!), [3, 1]);
    }
  });

  it("is not split where all of them fit", () => {
    const rig = offering(["LIMITS RCPTMAX=5 RCPTDOMAINMAX=1"]);
    relay(rig, "a", people(5));
    assert.deepEqual(sizes(rig.peers[0]!), [5]);
  });

  it("is split by RCPTDOMAINMAX: a domain's recipients go together, and the results keep their order", () => {
    const rig = offering(["LIMITS RCPTDOMAINMAX=1"], (line) => (line.includes("b@y") ? "550 5.1.1 no" : undefined));
    relay(rig, "a", ["a@x.example", "b@y.example", "c@X.example", "d@z.example"]);
    assert.deepEqual(envelopes(rig.peers[0]!), [["a@x.example", "c@X.example"], ["b@y.example"], ["d@z.example"]]);
    assert.deepEqual(rig.outcomes(), ["a: delivered, refused, delivered, delivered on 1"]);
  });

  it("is split by what 452 4.5.3 teaches, and the next one is split ahead", () => {
    const counts = new Map<RigPeer, number>();
    const rig = offering([], (line, peer) => {
      counts.set(peer, line.startsWith("MAIL") ? 0 : (counts.get(peer) ?? 0) + Number(line.startsWith("RCPT")));
      return line.startsWith("RCPT") && counts.get(peer)! > 2 ? "452 4.5.3 too many recipients" : undefined;
    });
    relay(rig, "a", people(5));
    assert.deepEqual(sizes(rig.peers[0]!), [5, 2, 1]);
    assert.deepEqual(rig.outcomes(), ["a: delivered, delivered, delivered, delivered, delivered on 1"]);
    assert.deepEqual(
      rig.records.filter(({ event }) => event === "recipients-limited").map(({ fields }) => fields),
      [{ recipients: 2 }],
    );
    relay(rig, "b", people(4));
    assert.deepEqual(sizes(rig.peers[0]!), [5, 2, 1, 2, 2]);
    // What the host had no room for was no refusal: the connection is as good as before.
    assert.equal(rig.peers.length, 1);
    rig.checkSettled();
  });

  it("learns no limit from a 452 behind which others are accepted, and tries that recipient once more", () => {
    let refusals = 0;
    const rig = offering([], (line) => (line.includes("<u1@") && refusals++ === 0 ? "452 not now" : undefined));
    relay(rig, "a", people(3));
    assert.deepEqual(sizes(rig.peers[0]!), [3, 1]);
    assert.deepEqual(rig.outcomes(), ["a: delivered, delivered, delivered on 1"]);
    assert.ok(!rig.logged.includes("recipients-limited"));
  });

  it("goes on in another transaction where a host is tired of unknown recipients, and learns no limit of that", () => {
    let bad = 0;
    const rig = offering([], (line) => {
      if (!line.startsWith("RCPT")) {
        bad = line.startsWith("MAIL") ? 0 : bad;
        return undefined;
      }
      const isUnknown = line.includes("<u");
      bad += Number(isUnknown);
      return bad > 2 ? "550 Rejected for too many bad recipients" : isUnknown ? "550 no" : undefined;
    });
    relay(rig, "a", [...people(5), "ann@example.net", "bob@example.net"]);
    assert.deepEqual(
      rig.peers.flatMap((peer) => sizes(peer)),
      [7, 5, 3],
    );
    assert.deepEqual(rig.outcomes(), ["a: refused, refused, refused, refused, refused, delivered, delivered on 1"]);
    assert.equal(rig.seen("DATA").length, 3);
    assert.ok(!rig.logged.includes("recipients-limited"));
    rig.checkSettled();
  });

  it("takes a 452 that speaks of something else for that recipient's verdict", () => {
    const rig = offering([], (line) => (line.includes("<u1@") ? "452 4.2.2 over quota" : undefined));
    relay(rig, "a", people(3));
    assert.deepEqual(sizes(rig.peers[0]!), [3]);
    assert.deepEqual(rig.outcomes(), ["a: delivered, deferred, delivered on 1"]);
  });

  it("to an LMTP host has a verdict for each, duplicates included", () => {
    let final = 0;
    const rig = offering(
      ["LIMITS RCPTMAX=2"],
      (line) => {
        const verdicts = ["250 one", "550 5.7.1 two", "250 three", "452 4.2.2 four", "250 five"];
        if (line === ".") {
          const due = verdicts.slice(final, final + 2);
          final += 2;
          return due.join("\r\n");
        }
        return undefined;
      },
      { settings: { protocol: "lmtp" } },
    );
    relay(rig, "a", ["u@x", "v@x", "u@x", "v@x", "u@x"]);
    assert.deepEqual(envelopes(rig.peers[0]!), [["u@x", "v@x"], ["u@x", "v@x"], ["u@x"]]);
    assert.deepEqual(rig.outcomes(), ["a: delivered, refused, delivered, deferred, delivered on 1"]);
    rig.checkSettled();
  });

  it("goes on before messages that have not begun", () => {
    const rig = offering(["LIMITS RCPTMAX=1"], undefined, { settings: { concurrency: 1 } });
    rig.relay("a", Number.POSITIVE_INFINITY, { recipients: people(3) });
    for (const name of ["b", "c", "d", "e"]) {
      rig.relay(name);
    }
    rig.run();
    // One envelope already follows behind each content.
    assert.equal(
      rig
        .seen("MAIL")
        .map((line) => /<(.)@/.exec(line)![1])
        .join(""),
      "abacade",
    );
    assert.equal(rig.outcomes().length, 5);
    rig.checkSettled();
  });

  it("keeps streamed content for the transactions that follow, and asks for it once", () => {
    const asked = [1, 3].map((count) => {
      const rig = offering(["LIMITS RCPTMAX=1"], undefined, { settings: { concurrency: 1 } });
      let parts = 0;
      rig.stream = (slot) => {
        parts++;
        if (parts <= 3) {
          rig.actor.contentPart(slot, Buffer.from(`part ${parts}\r\n`), parts === 3);
        }
      };
      relay(rig, "a", people(count), { content: null });
      assert.deepEqual(rig.outcomes(), [
        `a: ${people(count)
          .map(() => "delivered")
          .join(", ")} on 1`,
      ]);
      rig.checkSettled();
      return parts;
    });
    assert.equal(asked[1], asked[0]);
  });

  it("whose content is too large to be kept is delivered to whom it was sent, and deferred for the others", () => {
    const rig = offering(["LIMITS RCPTMAX=2"]);
    const part = Buffer.alloc(8 * 1024 * 1024, "x");
    let given = 0;
    rig.stream = (slot) => {
      if (given < 5) {
        rig.actor.contentPart(slot, part, ++given === 5);
      }
    };
    relay(rig, "a", people(4), { content: null });
    rig.run();
    assert.deepEqual(rig.outcomes(), ["a: delivered, delivered, deferred, deferred on 1"]);
    assert.deepEqual(
      rig.records.filter(({ event }) => event === "recipients-unserved").map(({ fields }) => fields.recipients),
      [2],
    );
    rig.checkSettled();
  });
});

describe("between two transactions of a message", () => {
  /** The second content is what something happens to. */
  function secondContent(happens: (peer: RigPeer) => string | undefined, keywords = ["LIMITS RCPTMAX=1"]) {
    let contents = 0;
    return offering(keywords, (line, peer) => (line === "." && ++contents === 2 ? happens(peer) : undefined), {
      settings: { concurrency: 1 },
    });
  }

  it("a refusal is that recipient's alone", () => {
    const rig = secondContent(() => "554 5.7.1 spam");
    relay(rig, "a", people(3));
    assert.deepEqual(rig.outcomes(), ["a: delivered, refused, delivered on 1"]);
  });

  it("a lost connection makes uncertain whom it concerned, and the others are served by another one", () => {
    const rig = secondContent((peer) => {
      peer.cut();
      return "";
    });
    relay(rig, "a", people(3));
    assert.deepEqual(rig.outcomes(), ["a: delivered, uncertain, delivered on 2"]);
    rig.checkSettled();
  });

  it("what is lost before its content is deferred, and never rejected: somebody has the message", () => {
    let mails = 0;
    const rig = offering(
      ["LIMITS RCPTMAX=1"],
      (line, peer) => {
        if (line.startsWith("MAIL") && ++mails > 1) {
          peer.cut();
          return "";
        }
        return undefined;
      },
      { settings: { concurrency: 1 } },
    );
    relay(rig, "a", people(3));
    assert.deepEqual(rig.outcomes(), ["a: delivered, deferred, deferred on 2"]);
    assert.ok(rig.logged.includes("recipients-unserved"));
    rig.checkSettled();
  });

  it("what is lost before anybody was judged is rejected", () => {
    const rig = offering(["LIMITS RCPTMAX=1"], (line, peer) => {
      if (line.startsWith("RCPT")) {
        peer.cut();
        return "";
      }
      return undefined;
    });
    relay(rig, "a", people(3));
    assert.deepEqual(rig.outcomes(), ["a: REMOTE_CLOSED"]);
    rig.checkSettled();
  });

  it("a deadline or an abort leaves the rest deferred", () => {
    const rig = secondContent(() => undefined);
    const held = offering(["LIMITS RCPTMAX=1"], (line, peer) => {
      const isSecond = line.startsWith("RCPT") && peer.lines.filter((each) => each.startsWith("RCPT")).length === 2;
      return isSecond ? "450 wait" : undefined;
    });
    relay(held, "b", people(3));
    assert.deepEqual(held.outcomes(), ["b: delivered, deferred, delivered on 1"]);
    const slot = rig.relay("a", Number.POSITIVE_INFINITY, { recipients: people(3) });
    // As far as the end of the first content.
    rig.run();
    rig.actor.cancel(slot, "ABORTED");
    rig.run();
    assert.match(rig.outcomes()[0]!, /^a: delivered/);
    rig.checkSettled();
  });
});

describe("a host that says how many transactions a connection may have (MAILMAX)", () => {
  it("is given so many and no more", () => {
    const rig = offering(["LIMITS MAILMAX=2"], undefined, { settings: { concurrency: 1 } });
    for (const name of ["a", "b", "c", "d", "e"]) {
      rig.relay(name);
    }
    rig.run();
    assert.deepEqual(
      rig.peers.map((peer) => sizes(peer).length),
      [2, 2, 1],
    );
    assert.equal(rig.outcomes().length, 5);
    rig.checkSettled();
  });

  it("gets the rest of a message on another connection", () => {
    const rig = offering(["LIMITS MAILMAX=1 RCPTMAX=2"], undefined, { settings: { concurrency: 1 } });
    relay(rig, "a", people(5));
    assert.deepEqual(rig.peers.map(sizes), [[2], [2], [1]]);
    assert.deepEqual(rig.outcomes(), ["a: delivered, delivered, delivered, delivered, delivered on 3"]);
    rig.checkSettled();
  });

  it("is asked about recipients in transactions that keep to its limits", () => {
    const rig = offering(["LIMITS MAILMAX=1 RCPTMAX=3"], undefined, {
      settings: { concurrency: 1, limits: { errors: 100 } },
    });
    for (let count = 0; count < 7; count++) {
      rig.rcpt(`u${count}`);
    }
    rig.run();
    assert.ok(rig.peers.every((peer) => sizes(peer).length <= 1 && sizes(peer).every((size) => size <= 3)));
    assert.equal(rig.outcomes().filter((line) => line.endsWith("found (remote)")).length, 7);
    rig.checkSettled();
  });
});
