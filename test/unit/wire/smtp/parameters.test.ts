/** Parameters of MAIL and RCPT: what is said to a host depends on what it offers; what it must offer and does not stops the message before a byte. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkDialogue, greeted, type RelayDetails, smtpSettings } from "../../../kit/smtp-dialogue.js";

const every = ["PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN", "REQUIRETLS", "CHUNKING", "BINARYMIME"];
const dsn: RelayDetails = {
  ret: "HDRS",
  envid: "x+2By",
  recipients: ["u@example.net", "v@example.net"],
  dsn: [
    { notify: "SUCCESS,FAILURE", orcpt: "rfc822;u@example.org" },
    { notify: "NEVER", orcpt: null },
  ],
};

function says(
  extensions: string[],
  details: RelayDetails,
  mail: string,
  rcpts = ["RCPT TO:<u@example.net>"],
  isSecure = false,
) {
  const replies = ["S: 550 no", ...rcpts.map(() => "S: 503 x"), ...(details.body === "binarymime" ? [] : ["S: 503 x"])];
  checkDialogue(
    { isSecure },
    (d) => [
      ...greeted(extensions),
      d.relay("a", details).start,
      `C: MAIL FROM:<a@example.org>${mail}`,
      ...rcpts.map((line) => `C: ${line}`),
      ...(replies.length > rcpts.length + 1 ? ["C: DATA"] : []),
      ...replies,
    ],
    ["ready", `a: ${rcpts.map(() => "refused 550").join(", ")}; 550 no`],
  );
}

function stops(
  extensions: string[],
  details: RelayDetails,
  code: string,
  options: Parameters<typeof checkDialogue>[0] = {},
) {
  checkDialogue(
    options,
    (d) => [...greeted(extensions), d.relay("a", details).start, () => {}],
    ["ready", `a: ${code}`],
    ({ session, requests }) => assert.ok(session.isIdle && requests === 0, "nothing was sent and nothing counts"),
  );
}

describe("SIZE", () => {
  it("is declared where it is known and the host wants to know", () => {
    says(["PIPELINING", "SIZE 1000"], { sizeOctets: 1000 }, " SIZE=1000");
    says(["PIPELINING", "SIZE 1000"], { sizeOctets: -1 }, "");
    says(["PIPELINING"], { sizeOctets: 5000 }, "");
  });
  it("beyond the host's limit stops the message here", () => {
    stops(["SIZE 1000"], { sizeOctets: 1001 }, "REPLY_PERMANENT");
    says(["PIPELINING", "SIZE 0"], { sizeOctets: 5000 }, " SIZE=5000");
    says(["PIPELINING", "SIZE"], { sizeOctets: 5000 }, " SIZE=5000");
  });
});

describe("BODY", () => {
  it("is 8BITMIME unless told otherwise, where the host offers it", () => {
    says(["PIPELINING", "8BITMIME"], { body: null }, " BODY=8BITMIME");
    says(["PIPELINING", "8BITMIME"], { body: "8bitmime" }, " BODY=8BITMIME");
    says(["PIPELINING", "8BITMIME"], { body: "7bit" }, " BODY=7BIT");
    says(["PIPELINING"], { body: null }, "");
  });
  it("that was asked for and is not offered stops the message", () => {
    stops(["PIPELINING"], { body: "8bitmime" }, "MISSING_EXTENSION");
    stops(["PIPELINING", "8BITMIME", "CHUNKING"], { body: "binarymime" }, "MISSING_EXTENSION");
  });
  it("of binary content goes with BDAT", () => {
    says(["PIPELINING", "CHUNKING", "BINARYMIME"], { body: "binarymime" }, " BODY=BINARYMIME");
  });
});

describe("SMTPUTF8", () => {
  it("is said where it was asked for, and must be offered", () => {
    says(["PIPELINING", "SMTPUTF8"], { smtputf8: "required", recipients: ["ü@example.net"] }, " SMTPUTF8", [
      "RCPT TO:<ü@example.net>",
    ]);
    stops(["PIPELINING"], { smtputf8: "required" }, "MISSING_EXTENSION");
  });
  for (const protocol of ["smtp", "lmtp"] as const) {
    it(`is not needed for domains, which have an ASCII form (${protocol})`, () => {
      const details: RelayDetails = {
        smtputf8: "if-offered",
        from: "a@münchen.example",
        recipients: ["u@bücher.example", "v@example.net"],
      };
      const check = (extensions: string[], mail: string, rcpt: string) =>
        checkDialogue(
          { settings: smtpSettings({ protocol }) },
          (d) => [
            ...greeted(["PIPELINING", ...extensions], protocol === "lmtp" ? "LHLO" : "EHLO"),
            d.relay("a", details).start,
            ...[mail, rcpt, "C: RCPT TO:<v@example.net>", "C: DATA"],
            ...["S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 451 later"],
          ],
          ["ready", "a: deferred 451, deferred 451; 451 later"],
        );
      check([], "C: MAIL FROM:<a@xn--mnchen-3ya.example>", "C: RCPT TO:<u@xn--bcher-kva.example>");
      check(["SMTPUTF8"], "C: MAIL FROM:<a@münchen.example> SMTPUTF8", "C: RCPT TO:<u@bücher.example>");
    });
  }
});

describe("DSN", () => {
  it("has its parameters on MAIL and on each RCPT, or nowhere", () => {
    says(["PIPELINING", "DSN"], dsn, " RET=HDRS ENVID=x+2By", [
      "RCPT TO:<u@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;u@example.org",
      "RCPT TO:<v@example.net> NOTIFY=NEVER",
    ]);
    says(["PIPELINING"], dsn, "", ["RCPT TO:<u@example.net>", "RCPT TO:<v@example.net>"]);
  });
});

describe("REQUIRETLS", () => {
  const details: RelayDetails = { requireTls: true };
  it("is said over verified TLS to a host that offers it", () => {
    says(["PIPELINING", "REQUIRETLS"], details, " REQUIRETLS", undefined, true);
  });
  it("stops the message where TLS, its verification or the offer is missing", () => {
    stops(["REQUIRETLS"], details, "MISSING_EXTENSION");
    stops([], details, "MISSING_EXTENSION", { isSecure: true });
    const settings = smtpSettings({ tls: { allowInvalidCerts: true } });
    stops(["REQUIRETLS"], details, "MISSING_EXTENSION", { isSecure: true, settings });
  });
});

describe("all of them together", () => {
  it("stand on one line", () => {
    const details: RelayDetails = { ...dsn, sizeOctets: 9, body: "8bitmime", smtputf8: "required", requireTls: true };
    const [u, v] = [
      "RCPT TO:<u@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;u@example.org",
      "RCPT TO:<v@example.net> NOTIFY=NEVER",
    ];
    says(every, details, " SIZE=9 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS ENVID=x+2By", [u!, v!], true);
  });
});

describe("8-bit content for a host without 8BITMIME", () => {
  const refusing = { settings: smtpSettings({ eightBit: "refuse" }) };
  const upToData = ["C: MAIL FROM:<a@example.org>", "C: RCPT TO:<u@example.net>", "C: DATA"];
  const accepted = ["S: 250 a", "S: 250 b", "S: 354 go"];

  it("goes out as it is, or not at all, as eight-bit says", () => {
    const details: RelayDetails = { body: null, content: "jörg\r\n" };
    checkDialogue(
      {},
      (d) => [...greeted(), d.relay("a", details).start, ...upToData, ...accepted, "C: jörg", "C: .", "S: 250 c"],
      ["ready", "a: delivered 250; 250 c"],
    );
    checkDialogue(refusing, (d) => [...greeted(), d.relay("a", details).start], ["ready", "a: MISSING_EXTENSION"]);
    const plain: RelayDetails = { body: null, content: "jo\r\n" };
    checkDialogue(
      refusing,
      (d) => [...greeted(), d.relay("a", plain).start, ...upToData, ...accepted, "C: jo", "C: .", "S: 250 c"],
      ["ready", "a: delivered 250; 250 c"],
    );
  });

  it("is found out in a stream before its end, and then nobody gets it", () => {
    checkDialogue(
      refusing,
      (d) => {
        const relay = d.relay("a", { body: null, content: null });
        const parts = [relay.part("jo\r\n"), "C: jo", relay.part("jörg\r\n"), "DESTROY"];
        return [...greeted(), relay.start, ...upToData, ...accepted, ...parts];
      },
      ["ready", "a: MISSING_EXTENSION", "ended REMOTE_CLOSED"],
    );
  });
});

describe("a host that gives SIZE twice", () => {
  it("is believed the larger one", () => {
    const details: RelayDetails = { sizeOctets: 1_500 };
    checkDialogue(
      {},
      (d) => [
        ...greeted(["SIZE 1000", "SIZE 2000"]),
        d.relay("a", details).start,
        "C: MAIL FROM:<a@example.org> SIZE=1500",
      ],
      ["ready"],
    );
    checkDialogue({}, (d) => [...greeted(["SIZE 2000", "SIZE 1000"]), d.relay("a", { sizeOctets: 2_001 }).start], [
      "ready",
      "a: REPLY_PERMANENT",
    ]);
  });
});
