/** Peers that go wrong when a password is asked about: AUTH over SMTP and LMTP, AUTHENTICATE and LOGIN over IMAP. */
import assert from "node:assert/strict";
import {
  close,
  expect,
  expectEnd,
  reply,
  type Script,
  type ScriptedPeer,
  send,
  sendForEver,
  strictImapService,
  strictMailService,
} from "../../src/testing/index.js";
import { type HostileCase, login, meet, type Scene, USER } from "./kit/ground.js";
import { leaveOrEnd, MAIL_PROTOCOLS, TRANSPORTS, tagOf, welcome, welcomeImap } from "./kit/lines.js";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const PLAIN = base64(`\0${USER.username}\0${USER.secret}`);

/** Offers a mechanism and waits for its AUTH. */
const offering = (scene: Scene, mechanism: string, ...script: Script[]): Script => [
  welcome(scene, `AUTH ${mechanism}`),
  expect(new RegExp(`^AUTH ${mechanism}(?: |$)`)),
  ...script,
];

/** The client cancels, or has gone; it shows no credential any more. */
const cancelOrEnd: Script = async (peer: ScriptedPeer) => {
  const line = await Promise.race([peer.line(), peer.ended.then(() => "")]).catch(() => "");
  assert.match(line, /^\*?$/);
  if (line === "*") {
    await peer.reply("501 5.7.0 cancelled");
  }
  assert.match((await peer.rest()).toString(), /^(?:QUIT\r\n|MAIL[\s\S]*)?$/);
};

const VERDICTS: readonly [said: string, outcome: string][] = [
  ["235 2.7.0 welcome", "found"],
  ["535 5.7.8 no", "not found"],
  ["535-5.7.8 no\r\n535 5.7.8 really", "not found"],
  ["454 4.7.0 later", "REPLY_TRANSIENT"],
  ["421 4.3.2 bye", "HOST_UNAVAILABLE"],
  ["504 5.5.4 what mechanism?", "REPLY_PERMANENT"],
  ["530 5.7.0 STARTTLS first", "REPLY_PERMANENT"],
  ["534 5.7.9 too weak", "REPLY_PERMANENT"],
  ["538 5.7.11 encrypt", "REPLY_PERMANENT"],
  ["550 5.1.1 no such user", "REPLY_PERMANENT"],
  ["500 5.5.2 what?", "REPLY_PERMANENT"],
  ["250 ok", "REMOTE_PROTOCOL"],
  ["354 go on", "REMOTE_PROTOCOL"],
  ["hello", "REMOTE_PROTOCOL"],
];

const CHALLENGES: readonly [what: string, mechanism: string, said: string][] = [
  ["a challenge that is no base64", "CRAM-MD5", "334 !!!!"],
  ["a challenge with odd padding", "CRAM-MD5", "334 YQ"],
  ["a challenge to PLAIN, which has shown everything", "PLAIN", `334 ${base64("more?")}`],
  ["a challenge of 16,000 octets", "CRAM-MD5", `334 ${"QUFB".repeat(4_000)}`],
  ["a SCRAM challenge that is nonsense", "SCRAM-SHA-256", `334 ${base64("hello")}`],
  ["a SCRAM nonce that is not ours", "SCRAM-SHA-256", `334 ${base64("r=stolen,s=QSXCR+Q6sek8bf92,i=4096")}`],
  ["a SCRAM error", "SCRAM-SHA-1", `334 ${base64("e=other-error")}`],
  ["success before SCRAM has begun", "SCRAM-SHA-256", "235 2.7.0 welcome"],
  ["success before CRAM-MD5 has begun", "CRAM-MD5", "235 2.7.0 welcome"],
  ["success before LOGIN has begun", "LOGIN", "235 2.7.0 welcome"],
];

const smtpVillains: HostileCase[] = [
  ...VERDICTS.map(
    ([said, outcome]): HostileCase => ({
      name: `answers AUTH with ${JSON.stringify(said)}`,
      protocols: MAIL_PROTOCOLS,
      villains: [(scene) => offering(scene, "PLAIN", reply(said), (peer) => peer.close())],
      outcome,
    }),
  ),
  ...CHALLENGES.map(
    ([what, mechanism, said]): HostileCase => ({
      name: what,
      protocols: MAIL_PROTOCOLS,
      villains: [(scene) => offering(scene, mechanism, reply(said), cancelOrEnd)],
      outcome: "REMOTE_PROTOCOL",
    }),
  ),
  {
    name: "challenges without end",
    villains: [
      (scene) =>
        offering(
          scene,
          "LOGIN",
          async (peer) => {
            let steps = 0;
            for (let line = ""; line !== "*"; line = await peer.line()) {
              assert.ok(++steps < 10, "the client answers for ever");
              await peer.reply(`334 ${base64("Username:")}`);
            }
            await peer.reply("501 cancelled");
          },
          leaveOrEnd(),
        ),
    ],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "never answers AUTH",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [(scene) => offering(scene, "PLAIN", expectEnd())],
    outcome: "COMMAND_TIMEOUT",
  },
  {
    name: "closes instead of answering AUTH: the credentials are not shown again",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => offering(scene, "PLAIN", close())],
    outcome: "REMOTE_CLOSED",
    check: ({ judge }) => assert.ok(!judge.ledger.commands.some((line) => line.startsWith("AUTH"))),
  },
  {
    name: "offers mechanisms that nobody knows",
    villains: [(scene) => [welcome(scene, "AUTH GSSAPI X-MAGIC"), leaveOrEnd()]],
    outcome: "MISSING_AUTH",
  },
  {
    name: "offers what shows the secret, in clear, to a host that may not show it",
    host: { auth: { "allow-plaintext": false } },
    villains: [(scene) => [welcome(scene, "AUTH PLAIN LOGIN"), leaveOrEnd()]],
    outcome: "MISSING_AUTH",
  },
];

const smtpCases = smtpVillains.map((hostile): HostileCase => ({ ...hostile, ask: login }));

/** Judges that stray from SCRAM on purpose. */
const scramCases: HostileCase[] = (["SCRAM-SHA-256", "SCRAM-SHA-1"] as const).flatMap((mechanism) => {
  const users = { [USER.username]: USER.secret };
  const strange = (accounts: { scramIterations?: number; forgeSignature?: boolean }) => (scene: Scene) => {
    const startTls = scene.transport === "starttls" ? { startTls: scene.certificate } : {};
    return scene.protocol === "imap"
      ? strictImapService({ users, mechanisms: [mechanism], ...accounts, ...startTls }).script
      : strictMailService({
          users,
          protocol: scene.protocol,
          capabilities: { auth: [mechanism] },
          ...accounts,
          ...startTls,
        }).script;
  };
  const everywhere = { protocols: ["smtp", "lmtp", "imap"], transports: TRANSPORTS, ask: login } as const;
  return [
    {
      ...everywhere,
      name: `${mechanism} with 2^31 iterations`,
      villains: [strange({ scramIterations: 2 ** 31 })],
      outcome: "REMOTE_PROTOCOL",
    },
    {
      ...everywhere,
      name: `${mechanism} with 100,001 iterations`,
      villains: [strange({ scramIterations: 100_001 })],
      outcome: "REMOTE_PROTOCOL",
    },
    {
      ...everywhere,
      name: `${mechanism} with no iteration`,
      villains: [strange({ scramIterations: 0 })],
      outcome: "REMOTE_PROTOCOL",
    },
    {
      ...everywhere,
      name: `${mechanism} whose server cannot prove itself`,
      villains: [strange({ forgeSignature: true })],
      outcome: "REMOTE_PROTOCOL",
    },
  ] satisfies HostileCase[];
});

/** IMAP that offers a mechanism and waits for its AUTHENTICATE. */
const authenticating = (scene: Scene, then: (peer: ScriptedPeer, tag: string) => unknown): Script => [
  welcomeImap(scene, "AUTH=PLAIN", "SASL-IR"),
  async (peer) => {
    const tag = await tagOf(peer, `AUTHENTICATE PLAIN ${PLAIN.replace(/[+/]/g, "\\$&")}$`);
    await then(peer, tag);
  },
];

const IMAP_VERDICTS: readonly [said: string, outcome: string][] = [
  ["OK welcome", "found"],
  ["NO no", "not found"],
  ["NO [AUTHENTICATIONFAILED] no", "not found"],
  ["NO [AUTHORIZATIONFAILED] no", "not found"],
  ["NO [EXPIRED] no", "not found"],
  ["NO [UNAVAILABLE] later", "REPLY_TRANSIENT"],
  ["NO [LIMIT] later", "REPLY_TRANSIENT"],
  ["NO [INUSE] later", "REPLY_TRANSIENT"],
  ["NO [CONTACTADMIN] ask", "REPLY_PERMANENT"],
  ["NO [PRIVACYREQUIRED] encrypt", "REPLY_PERMANENT"],
  ["NO [REFERRAL imap://elsewhere.example/] go there", "REPLY_PERMANENT"],
  ["NO [X-UNHEARD-OF] what", "REPLY_PERMANENT"],
  // The server offers SASL-IR and may not know it: another try goes without.
  ["BAD what?", "REPLY_TRANSIENT"],
  ["PREAUTH hm", "REMOTE_PROTOCOL"],
  ["WHAT now", "REMOTE_PROTOCOL"],
  ["NO [AUTHENTICATIONFAILED no bracket", "REMOTE_PROTOCOL"],
];

/** What comes in place of the tagged reply, or before it. */
const IMAP_NONSENSE: readonly [what: string, said: (tag: string) => string, outcome: string | RegExp][] = [
  ["a literal of 9,999,999,999 octets", () => "* LIST {9999999999}\r\n", "REMOTE_PROTOCOL"],
  ["a literal without a number", () => "* LIST {99999999999999999999999999}\r\n", "REMOTE_PROTOCOL"],
  ["thousands of small literals", () => "* X {1}\r\ny {1}\r\nz\r\n".repeat(5_000), "REMOTE_PROTOCOL"],
  ["nesting 100,000 deep", () => `* X ${"(".repeat(100_000)}\r\n`, "REMOTE_PROTOCOL"],
  ["nesting in lines of their own", () => `* X ${"(".repeat(4_000)}\r\n`.repeat(1_000), "REMOTE_PROTOCOL"],
  ["a tag that was never said", () => "zzz9 OK welcome\r\n", "REMOTE_PROTOCOL"],
  ["an empty line", () => "\r\n", "REMOTE_PROTOCOL"],
  ["a line that ends with LF alone", (tag) => `${tag} OK welcome\n`, "REMOTE_PROTOCOL"],
  ["a stray continuation request, and then nothing,", () => "+ more?\r\n", "COMMAND_TIMEOUT"],
  ["a challenge of 16,000 octets", () => `+ ${"QUFB".repeat(4_000)}\r\n`, "REMOTE_PROTOCOL"],
  ["BYE", () => "* BYE enough\r\n", /^(?:REMOTE_CLOSED|HOST_UNAVAILABLE)$/],
  ["BYE with an alert", () => "* BYE [ALERT] read this\r\n", /^(?:REMOTE_CLOSED|HOST_UNAVAILABLE)$/],
  ["a second greeting", () => "* PREAUTH hello again\r\n", "REMOTE_PROTOCOL"],
  ["a line of 100,000 octets", () => `* OK ${"x".repeat(100_000)}\r\n`, "REMOTE_PROTOCOL"],
  ["an SMTP reply", () => "235 2.7.0 welcome\r\n", "REMOTE_PROTOCOL"],
];

/** IMAP: cancels with `*`, takes its leave, or is gone. */
const cancelOrLeave: Script = async (peer: ScriptedPeer) => {
  assert.match((await peer.rest()).toString(), /^(?:\*\r\n)?(?:[A-Za-z0-9]+ LOGOUT\r\n)?$/);
};

const imapVillains: HostileCase[] = [
  ...IMAP_VERDICTS.map(
    ([said, outcome]): HostileCase => ({
      name: `answers a login with ${said}`,
      villains: [(scene) => [authenticating(scene, (peer, tag) => peer.reply(`${tag} ${said}`)), leaveOrEnd()]],
      outcome,
      // A refused login leaves its connection as it was, and this villain has said all it knows.
      recovers: outcome === "found" || outcome === "REMOTE_PROTOCOL",
    }),
  ),
  ...IMAP_NONSENSE.map(
    ([what, said, outcome]): HostileCase => ({
      name: `${what} in place of an answer`,
      villains: [(scene) => [authenticating(scene, (peer, tag) => peer.send(said(tag))), cancelOrLeave]],
      outcome,
    }),
  ),
  {
    name: "a stray continuation request in place of an answer: the login is cancelled",
    villains: [
      (scene) => [
        authenticating(scene, async (peer, tag) => {
          await peer.reply("+ ");
          await peer.expect("*");
          await peer.reply(`${tag} BAD cancelled`);
        }),
        leaveOrEnd(),
      ],
    ],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "untagged responses without end",
    transports: TRANSPORTS,
    villains: [(scene) => [authenticating(scene, () => {}), sendForEver("* 5 EXISTS\r\n".repeat(500))]],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "a gigabyte without a newline",
    villains: [
      (scene) => [
        authenticating(scene, () => {}),
        async (peer) => {
          const block = Buffer.alloc(65_536, "x");
          let sent = 0;
          while (sent < 2 ** 30 && (await peer.send(block))) {
            sent += block.length;
          }
          assert.ok(sent < 32 * 1024 * 1024, `${sent} octets were taken`);
        },
      ],
    ],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "two completions of one command",
    villains: [
      (scene) => [
        authenticating(scene, (peer, tag) => peer.send(`${tag} NO no\r\n${tag} OK welcome\r\n`)),
        expectEnd(),
      ],
    ],
    outcome: "not found",
  },
  {
    name: "the answer comes one octet a segment",
    transports: TRANSPORTS,
    villains: [
      (scene) => [
        authenticating(scene, (peer, tag) => peer.sendOctets(`* OK [ALERT] hi\r\n${tag} OK welcome\r\n`)),
        leaveOrEnd(),
      ],
    ],
    outcome: "found",
  },
  {
    name: "never answers a login",
    transports: TRANSPORTS,
    villains: [(scene) => [authenticating(scene, () => {}), expectEnd()]],
    outcome: "COMMAND_TIMEOUT",
  },
  {
    name: "closes instead of answering a login",
    transports: TRANSPORTS,
    villains: [(scene) => [authenticating(scene, () => {}), close()]],
    outcome: "REMOTE_CLOSED",
  },
  ...(
    [
      ["BYE", "* BYE too many of you", "HOST_UNAVAILABLE"],
      ["NO", "* NO hm", "REMOTE_PROTOCOL"],
      ["an SMTP greeting", "220 hello", "REMOTE_PROTOCOL"],
      ["a tagged OK", "a1 OK hello", "REMOTE_PROTOCOL"],
      ["a continuation request", "+ hello", "REMOTE_PROTOCOL"],
      ["a capability list", "* CAPABILITY IMAP4rev1", "REMOTE_PROTOCOL"],
    ] as const
  ).map(
    ([what, said, outcome]): HostileCase => ({
      name: `greets with ${what}`,
      villains: [() => [reply(said), expectEnd()]],
      outcome,
    }),
  ),
  {
    name: "says nothing at all",
    villains: [() => expectEnd()],
    outcome: "COMMAND_TIMEOUT",
  },
  {
    name: "does not tell its capabilities",
    villains: [
      () => [reply("* OK hello"), async (peer) => peer.reply(`${await tagOf(peer, "CAPABILITY")} NO`), leaveOrEnd()],
    ],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "5,000 capabilities",
    villains: [() => [send(`* OK [CAPABILITY ${"X-THING ".repeat(5_000)}] hello\r\n`), expectEnd()]],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "LOGINDISABLED, and no mechanism: LOGIN is not tried",
    villains: [(scene) => [welcomeImap(scene, "LOGINDISABLED"), leaveOrEnd()]],
    outcome: "MISSING_AUTH",
    recovers: false,
  },
];

const imapCases = imapVillains.map((hostile): HostileCase => ({ ...hostile, protocols: ["imap"] }));

meet("SMTP and LMTP peers that are asked about a password", smtpCases);
meet("peers that stray from SCRAM", scramCases);
meet("IMAP peers that are asked about a password", imapCases);
