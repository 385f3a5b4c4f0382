/** AUTH on SMTP and LMTP (RFC 4954): the connection's own account, and users' passwords with every cell of the table of replies. */
import assert from "node:assert/strict";
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { describe, it } from "node:test";
import { checkDialogue, type DialogueOptions, greeted, smtpSettings } from "../../../kit/smtp-dialogue.js";

const b64 = (text: string) => Buffer.from(text).toString("base64");
const PLAIN = b64("\0user\0p4ssw0rd");
const own: DialogueOptions = {
  settings: smtpSettings({ auth: { username: "user", secret: "p4ssw0rd" } }),
  isSecure: true,
};
const login: DialogueOptions = { purpose: "login", isSecure: true };

/** A whole SCRAM-SHA-256 exchange with the nonce that the first 18 random octets of a session make. */
function scram(secret: string, options: { iterations?: number; signature?: string } = {}) {
  const nonce = Buffer.alloc(18, 1).toString("base64");
  const salt = Buffer.from("salt of the test");
  const iterations = options.iterations ?? 4096;
  const clientFirst = `n=user,r=${nonce}`;
  const serverFirst = `r=${nonce}server,s=${salt.toString("base64")},i=${iterations}`;
  const withoutProof = `c=biws,r=${nonce}server`;
  const salted = pbkdf2Sync(secret, salt, Math.min(iterations, 4096), 32, "sha256");
  const hmac = (key: Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const clientKey = hmac(salted, "Client Key");
  const message = `${clientFirst},${serverFirst},${withoutProof}`;
  const signature = hmac(createHash("sha256").update(clientKey).digest(), message);
  const proof = Buffer.from(clientKey.map((octet, at) => octet ^ signature[at]!));
  const serverSignature = options.signature ?? hmac(hmac(salted, "Server Key"), message).toString("base64");
  return {
    clientFirst: b64(`n,,${clientFirst}`),
    serverFirst: b64(serverFirst),
    clientFinal: b64(`${withoutProof},p=${proof.toString("base64")}`),
    serverFinal: b64(`v=${serverSignature}`),
  };
}

describe("the connection's own account", () => {
  it("is shown by PLAIN in one command", () => {
    checkDialogue(own, () => [...greeted(["AUTH PLAIN LOGIN"]), `C: AUTH PLAIN ${PLAIN}`, "S: 235 ok"], ["ready"]);
  });

  it("is shown by LOGIN to a peer that knows nothing else", () => {
    const steps = [
      "C: AUTH LOGIN",
      "S: 334 VXNlcm5hbWU6",
      `C: ${b64("user")}`,
      "S: 334 UGFzc3dvcmQ6",
      `C: ${b64("p4ssw0rd")}`,
    ];
    checkDialogue(own, () => [...greeted(["AUTH LOGIN"]), ...steps, "S: 235 ok"], ["ready"]);
  });

  it("is shown as an access token, and what the server says of that stands in the failure", () => {
    const settings = smtpSettings({ id: "x", auth: { username: "user", by: "token" } });
    const options = { settings, token: "t0k3n", isSecure: true };
    const command = `C: AUTH XOAUTH2 ${b64("user=user\x01auth=Bearer t0k3n\x01\x01")}`;
    const refused = (challenge: string, reply: string, code: string, message: RegExp) => {
      const steps = () => [
        ...greeted(["AUTH PLAIN XOAUTH2"]),
        command,
        `S: 334 ${b64(challenge)}`,
        "C: ",
        `S: ${reply}`,
      ];
      checkDialogue(options, steps, [`ended ${code}`], ({ failures }) => assert.match(failures[0]!.message, message));
    };
    const said = '{"status":"401","schemes":"Bearer","scope":"https://mail.example/"}';
    const shown = /access token of remote\.x\.auth\.oauth2 \(status 401, scope https:\/\/mail\.example\/\)\.$/;
    refused(said, "535 5.7.8 no", "AUTH_FAILED", shown);
    refused('{"status":400}', "454 4.7.0 later", "HOST_UNAVAILABLE", /oauth2 \(status 400\)\.$/);
    refused('{"status":"t0k3n is wrong"}', "535 no", "AUTH_FAILED", /withheld/);
    refused("no JSON", "535 no", "AUTH_FAILED", /oauth2\.$/);
    checkDialogue(options, () => [...greeted(["AUTH XOAUTH2"]), command, "S: 235 ok"], ["ready"]);
  });

  it("is that of the certificate where the host offers EXTERNAL and TLS stands", () => {
    for (const [username, said] of [
      ["", "="],
      ["gateway", b64("gateway")],
    ] as const) {
      const settings = smtpSettings({ auth: { username, by: "certificate" } });
      const options = { settings, isSecure: true };
      const command = `C: AUTH EXTERNAL ${said}`;
      checkDialogue(options, () => [...greeted(["AUTH PLAIN EXTERNAL"]), command, "S: 235 ok"], ["ready"]);
      const refused = () => [...greeted(["AUTH EXTERNAL"]), command, "S: 535 no"];
      checkDialogue(options, refused, ["ended AUTH_FAILED"], ({ failures }) =>
        assert.match(failures[0]!.message, /refused the certificate \(tls\.cert\) of remote\.host\.auth\.external/),
      );
      const withheld = () => greeted(["AUTH PLAIN"]);
      checkDialogue(options, withheld, ["ended MISSING_AUTH"], ({ failures }) =>
        assert.match(failures[0]!.message, /does not offer EXTERNAL/),
      );
      const plain = () => greeted(["AUTH EXTERNAL"]);
      checkDialogue({ settings, isSecure: false }, plain, ["ended MISSING_AUTH"]);
    }
  });

  it("is proved by CRAM-MD5 rather than shown", () => {
    const challenge = "<1896.697170952@postoffice.reston.mci.net>";
    const digest = createHmac("md5", "p4ssw0rd").update(challenge).digest("hex");
    const steps = ["C: AUTH CRAM-MD5", `S: 334 ${b64(challenge)}`, `C: ${b64(`user ${digest}`)}`, "S: 235 ok"];
    checkDialogue(own, () => [...greeted(["AUTH PLAIN CRAM-MD5"]), ...steps], ["ready"]);
    checkDialogue({ ...own, isSecure: false }, () => [...greeted(["AUTH PLAIN CRAM-MD5"]), ...steps], ["ready"]);
  });

  it("is proved by SCRAM, and so is the server", () => {
    const say = scram("p4ssw0rd");
    const upToProof = [
      ...greeted(["AUTH PLAIN SCRAM-SHA-256"]),
      `C: AUTH SCRAM-SHA-256 ${say.clientFirst}`,
      `S: 334 ${say.serverFirst}`,
      `C: ${say.clientFinal}`,
    ];
    checkDialogue(own, () => [...upToProof, `S: 334 ${say.serverFinal}`, "C: ", "S: 235 ok"], ["ready"]);
    const wrong = scram("p4ssw0rd", { signature: b64("somebody else's signature, 32 o.") });
    checkDialogue(own, () => [...upToProof, `S: 334 ${wrong.serverFinal}`, "C: *", "S: 501 cancelled", "DESTROY"], [
      "ended REMOTE_PROTOCOL",
    ]);
    checkDialogue(own, () => [...upToProof, "S: 235 believe me", "DESTROY"], ["ended REMOTE_PROTOCOL"]);
  });

  it("is not shown to a peer that would have us compute for hours", () => {
    const say = scram("p4ssw0rd", { iterations: 2 ** 31 });
    const steps = [
      `C: AUTH SCRAM-SHA-256 ${say.clientFirst}`,
      `S: 334 ${say.serverFirst}`,
      "C: *",
      "S: 501 ok",
      "DESTROY",
    ];
    checkDialogue(own, () => [...greeted(["AUTH SCRAM-SHA-256"]), ...steps], ["ended REMOTE_PROTOCOL"]);
  });

  it("is not shown over plain text, unless that is allowed", () => {
    const plain = { ...own, isSecure: false };
    checkDialogue(plain, () => [...greeted(["AUTH PLAIN LOGIN"]), "DESTROY"], ["ended MISSING_AUTH"]);
    checkDialogue(own, () => [...greeted([]), "DESTROY"], ["ended MISSING_AUTH"]);
    const settings = smtpSettings({ auth: { username: "user", secret: "p4ssw0rd" }, allowPlaintextAuth: true });
    checkDialogue({ settings }, () => [...greeted(["AUTH PLAIN"]), `C: AUTH PLAIN ${PLAIN}`, "S: 235 ok"], ["ready"]);
  });

  it("refused ends the connection, and its failure holds no credentials that the peer repeated", () => {
    const steps = (reply: string) => () => [
      ...greeted(["AUTH PLAIN"]),
      `C: AUTH PLAIN ${PLAIN}`,
      `S: ${reply}`,
      "DESTROY",
    ];
    checkDialogue(own, steps(`535 5.7.8 bad: AUTH PLAIN ${PLAIN}`), ["ended AUTH_FAILED"], ({ failures }) => {
      assert.doesNotMatch(JSON.stringify(failures), new RegExp(`${PLAIN}|p4ssw0rd`));
      assert.equal(failures[0]?.reply?.code, 535);
    });
    checkDialogue(own, steps("454 4.7.0 later"), ["ended HOST_UNAVAILABLE"]);
    checkDialogue(own, steps("421 bye"), ["ended HOST_UNAVAILABLE"]);
    checkDialogue(own, steps("250 what"), ["ended REMOTE_PROTOCOL"]);
  });

  it("sends a long initial response behind an empty challenge only", () => {
    const secret = "x".repeat(600);
    const options = { ...own, settings: smtpSettings({ auth: { username: "user", secret } }) };
    const start = [...greeted(["AUTH PLAIN"]), "C: AUTH PLAIN"];
    checkDialogue(options, () => [...start, "S: 334 ", `C: ${b64(`\0user\0${secret}`)}`, "S: 235 ok"], ["ready"]);
    checkDialogue(options, () => [...start, "S: 235 welcome", "DESTROY"], ["ended REMOTE_PROTOCOL"]);
    checkDialogue(options, () => [...start, `S: 334 ${b64("who?")}`, "C: *", "S: 501 x", "DESTROY"], [
      "ended REMOTE_PROTOCOL",
    ]);
  });
});

describe("a user's login", () => {
  const start = greeted(["AUTH PLAIN", "PIPELINING"]);

  it("accepted uses its connection up", () => {
    checkDialogue(
      login,
      (d) => [
        ...start,
        d.login("user", "p4ssw0rd"),
        `C: AUTH PLAIN ${PLAIN}`,
        "S: 235 ok",
        "C: QUIT",
        "S: 221 bye",
        "END",
      ],
      ["ready", "login: found", "ended REMOTE_CLOSED"],
    );
  });

  const verdicts: [reply: string, result: string][] = [
    ["535 5.7.8 wrong", "not found"],
    ["535 no", "not found"],
    ["550 5.7.8 wrong", "not found"],
    ["454 4.7.0 database away", "REPLY_TRANSIENT"],
    ["432 4.7.12 change it", "REPLY_TRANSIENT"],
    ["504 5.5.4 unknown mechanism", "REPLY_PERMANENT"],
    ["534 5.7.9 too weak", "REPLY_PERMANENT"],
    ["534 5.7.8 too weak", "REPLY_PERMANENT"],
    ["538 5.7.11 needs TLS", "REPLY_PERMANENT"],
    ["500 what?", "REPLY_PERMANENT"],
    ["530 first STARTTLS", "REPLY_PERMANENT"],
  ];
  for (const [reply, result] of verdicts) {
    it(`answered with ${reply} is ${result}, and the connection goes on`, () => {
      checkDialogue(
        login,
        (d) => [...start, d.login("user", "p4ssw0rd"), `C: AUTH PLAIN ${PLAIN}`, `S: ${reply}`, () => {}],
        ["ready", `login: ${result}`],
        ({ session, requests, errors }) => {
          assert.ok(session.isIdle && session.hasRoomFor("auth", ""));
          assert.deepEqual([requests, errors], [1, 1]);
        },
      );
    });
  }

  it("is not stopped by a 334 whose text is no base64, where the mechanism needs none", () => {
    checkDialogue(
      login,
      (d) => [
        ...[...greeted(["AUTH LOGIN"]), d.login("user", "p4ssw0rd"), "C: AUTH LOGIN", "S: 334 Username:"],
        ...[`C: ${b64("user")}`, "S: 334 Password:", `C: ${b64("p4ssw0rd")}`, "S: 535 no"],
      ],
      ["ready", "login: not found"],
    );
  });

  it("answered with 421 or nonsense gives no verdict", () => {
    const steps = (reply: string) => (d: Parameters<Parameters<typeof checkDialogue>[1]>[0]) => [
      ...start,
      d.login("user", "p4ssw0rd"),
      `C: AUTH PLAIN ${PLAIN}`,
      `S: ${reply}`,
      "DESTROY",
    ];
    checkDialogue(login, steps("421 bye"), ["ready", "login: HOST_UNAVAILABLE", "ended HOST_UNAVAILABLE"]);
    checkDialogue(login, steps("250 ok"), ["ready", "login: REMOTE_PROTOCOL", "ended REMOTE_PROTOCOL"]);
    checkDialogue(login, steps("220 ok"), ["ready", "login: REMOTE_PROTOCOL", "ended REMOTE_PROTOCOL"]);
  });

  it("refused before anything was shown is no verdict", () => {
    const steps = ["C: AUTH LOGIN", "S: 535 go away"];
    checkDialogue(login, (d) => [...greeted(["AUTH LOGIN"]), d.login("u", "s"), ...steps], [
      "ready",
      "login: REPLY_PERMANENT",
    ]);
  });

  it("without a mechanism is told at once, sends nothing and costs nothing", () => {
    checkDialogue(
      { purpose: "login" },
      (d) => [...start, d.login("user", "p4ssw0rd")],
      ["ready", "login: MISSING_AUTH"],
      ({ session, requests }) => {
        assert.ok(session.isIdle);
        assert.equal(requests, 0);
      },
    );
    checkDialogue(login, (d) => [...start, d.login("u", "token", true)], ["ready", "login: MISSING_AUTH"]);
  });

  it("is broken off when the challenges make no sense, and the connection goes on", () => {
    for (const challenge of ["!!!", "", "=", "A".repeat(400)]) {
      checkDialogue(
        login,
        (d) => [
          ...start,
          d.login("user", "p4ssw0rd"),
          `C: AUTH PLAIN ${PLAIN}`,
          `S: 334 ${challenge}`,
          "C: *",
          "S: 501 ok",
        ],
        ["ready", "login: REMOTE_PROTOCOL"],
        ({ session }) => assert.ok(session.isIdle),
      );
    }
  });

  it("with a token acknowledges the error that comes as a challenge", () => {
    const first = b64("user=user\x01auth=Bearer tok\x01\x01");
    checkDialogue(
      login,
      (d) => [
        ...greeted(["AUTH XOAUTH2"]),
        d.login("user", "tok", true),
        `C: AUTH XOAUTH2 ${first}`,
        `S: 334 ${b64("{}")}`,
        "C: ",
        "S: 535 no",
      ],
      ["ready", "login: not found"],
    );
  });

  it("answered with the credentials themselves keeps them out of answer and failure", () => {
    for (const code of ["235", "535", "454"]) {
      checkDialogue(
        login,
        (d) => [
          ...start,
          d.login("user", "p4ssw0rd"),
          `C: AUTH PLAIN ${PLAIN}`,
          `S: ${code} you said ${PLAIN} or p4ssw0rd`,
          ...(code === "235" ? ["C: QUIT", "S: 221 bye", "END"] : []),
        ],
        [
          "ready",
          `login: ${{ 235: "found", 535: "not found", 454: "REPLY_TRANSIENT" }[code]}`,
          ...(code === "235" ? ["ended REMOTE_CLOSED"] : []),
        ],
        ({ failures, replies }) =>
          assert.doesNotMatch(JSON.stringify([failures, replies]), new RegExp(`${PLAIN}|p4ssw0rd`)),
      );
    }
  });

  it("answered with 421 and the credentials keeps them out of every failure", () => {
    checkDialogue(
      login,
      (d) => [
        ...start,
        d.login("user", "p4ssw0rd"),
        `C: AUTH PLAIN ${PLAIN}`,
        `S: 421 you said ${PLAIN} or p4ssw0rd`,
        "DESTROY",
      ],
      ["ready", "login: HOST_UNAVAILABLE", "ended HOST_UNAVAILABLE"],
      ({ failures }) => {
        assert.equal(failures.length, 2);
        assert.doesNotMatch(JSON.stringify(failures), new RegExp(`${PLAIN}|p4ssw0rd`));
      },
    );
  });

  it("lost may be tried again only where nothing was shown", () => {
    const twice = (d: Parameters<Parameters<typeof checkDialogue>[1]>[0]) => [
      ...greeted(["AUTH LOGIN"]),
      d.login("u", "wrong"),
      "C: AUTH LOGIN",
      "S: 334 ",
      `C: ${b64("u")}`,
      "S: 535 no",
      d.login("user", "p4ssw0rd"),
      "C: AUTH LOGIN",
    ];
    checkDialogue(login, (d) => [...twice(d), "EOF"], [
      "ready",
      "login: not found",
      "login: REMOTE_CLOSED (retry)",
      "ended REMOTE_CLOSED",
    ]);
    checkDialogue(login, (d) => [...twice(d), "S: 421 idle", "DESTROY"], [
      "ready",
      "login: not found",
      "login: HOST_UNAVAILABLE (retry)",
      "ended HOST_UNAVAILABLE",
    ]);
    checkDialogue(login, (d) => [...twice(d), "S: 334 ", `C: ${b64("user")}`, "EOF"], [
      "ready",
      "login: not found",
      "login: REMOTE_CLOSED",
      "ended REMOTE_CLOSED",
    ]);
    checkDialogue(
      login,
      (d) => [...start, d.login("user", "p4ssw0rd"), `C: AUTH PLAIN ${PLAIN}`, "TIMEOUT", "DESTROY"],
      ["ready", "login: COMMAND_TIMEOUT", "ended COMMAND_TIMEOUT"],
    );
  });
});
