/** Peers that go wrong around TLS: STARTTLS, the handshake, certificates, and connections cut inside it. */
import assert from "node:assert/strict";
import {
  type CertificateKind,
  close,
  cut,
  expect,
  expectEnd,
  makeCertificate,
  reply,
  reset,
  type Script,
  type ScriptedPeer,
  send,
  silence,
} from "../../src/testing/index.js";
import { type HostileCase, meet, type Protocol, type Scene } from "./kit/ground.js";
import { leaveOrEnd, tagOf, welcome, welcomeImap } from "./kit/lines.js";

const ALL = ["smtp", "lmtp", "imap"] as const;

/** Up to the client's STARTTLS; what it is answered with starts with what comes back. */
function untilStartTls(scene: Scene, said: (ok: string) => string | readonly string[]): Script {
  return async (peer: ScriptedPeer) => {
    if (scene.protocol === "imap") {
      await peer.reply("* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi");
      const tag = await tagOf(peer, "STARTTLS");
      await peer.send(said(`${tag} OK begin\r\n`));
    } else {
      await peer.reply("220 hi");
      await peer.expect(/^[EL]HLO /);
      await peer.reply("250-villain", "250 STARTTLS");
      await peer.expect("STARTTLS");
      await peer.send(said("220 go ahead\r\n"));
    }
  };
}

/** The client starts its handshake and nothing else. */
const handshakeOrEnd: Script = async (peer: ScriptedPeer) => {
  const rest = await peer.rest();
  if (rest.length > 0) {
    assert.equal(rest[0], 22, "a TLS record, and no plain text");
  }
};

const INJECTIONS: readonly [what: string, behind: string][] = [
  ["a whole reply", "250 injected\r\n"],
  ["a reply without CRLF", "250 inj"],
  ["one octet", "2"],
  ["a tagged reply", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"],
];

const startTlsCases: HostileCase[] = [
  ...INJECTIONS.map(
    ([what, behind]): HostileCase => ({
      name: `${what} stands behind the reply to STARTTLS, in the same segment`,
      protocols: ALL,
      transports: ["starttls"],
      villains: [(scene) => [untilStartTls(scene, (ok) => ok + behind), expectEnd()]],
      outcome: /^(?:TLS_FAILED|REMOTE_PROTOCOL)$/,
    }),
  ),
  {
    name: "a reply follows the reply to STARTTLS in a segment of its own, instead of the handshake",
    protocols: ALL,
    transports: ["starttls"],
    villains: [(scene) => [untilStartTls(scene, (ok) => [ok, "250 injected\r\n"]), handshakeOrEnd]],
    outcome: /^(?:TLS_FAILED|REMOTE_PROTOCOL)$/,
  },
  {
    name: "STARTTLS is accepted, and silence follows",
    protocols: ALL,
    transports: ["starttls"],
    villains: [(scene) => [untilStartTls(scene, (ok) => ok), silence()]],
    outcome: "CONNECT_TIMEOUT",
  },
  ...(
    [
      ["closes", close()],
      ["resets", reset()],
    ] as const
  ).map(
    ([how, ending]): HostileCase => ({
      name: `STARTTLS is accepted, and the peer ${how}`,
      protocols: ALL,
      transports: ["starttls"],
      villains: [(scene) => [untilStartTls(scene, (ok) => ok), (peer) => peer.read(1), ending]],
      outcome: /^(?:TLS_FAILED|REMOTE_CLOSED)$/,
    }),
  ),
  {
    name: "STARTTLS is not offered",
    protocols: ["smtp", "lmtp"],
    transports: ["starttls"],
    villains: [() => [reply("220 hi"), expect(/HLO /), reply("250-villain", "250 PIPELINING"), leaveOrEnd()]],
    outcome: "MISSING_STARTTLS",
  },
  {
    name: "STARTTLS is not offered",
    protocols: ["imap"],
    transports: ["starttls"],
    villains: [() => [reply("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi"), leaveOrEnd()]],
    outcome: "MISSING_STARTTLS",
  },
  ...["454 4.3.0 not now", "502 5.5.1 no", "250 ok"].map(
    (said): HostileCase => ({
      name: `STARTTLS is answered with ${said}`,
      protocols: ["smtp", "lmtp"],
      transports: ["starttls"],
      villains: [
        () => [
          reply("220 hi"),
          expect(/HLO /),
          reply("250-villain", "250 STARTTLS"),
          expect("STARTTLS"),
          reply(said),
          leaveOrEnd(),
        ],
      ],
      outcome: "TLS_FAILED",
    }),
  ),
  ...["NO not now", "BAD what?"].map(
    (said): HostileCase => ({
      name: `STARTTLS is answered with ${said}`,
      protocols: ["imap"],
      transports: ["starttls"],
      villains: [
        () => [
          reply("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi"),
          async (peer) => peer.reply(`${await tagOf(peer, "STARTTLS")} ${said}`),
          leaveOrEnd(),
        ],
      ],
      outcome: /^(?:MISSING_STARTTLS|TLS_FAILED)$/,
    }),
  ),
  {
    name: "EHLO is refused in TLS, by a host that answered it before: no HELO",
    protocols: ["smtp", "lmtp"],
    transports: ["starttls"],
    villains: [
      (scene) => [
        untilStartTls(scene, (ok) => ok),
        (peer) => peer.startTls(scene.certificate),
        expect(/HLO /),
        reply("550 no"),
        expectEnd(),
      ],
    ],
    outcome: "HOST_UNAVAILABLE",
  },
  {
    name: "EHLO is not known in TLS, though it was before: no HELO",
    transports: ["starttls"],
    villains: [
      (scene) => [
        untilStartTls(scene, (ok) => ok),
        (peer) => peer.startTls(scene.certificate),
        expect(/^EHLO /),
        reply("502 5.5.1 what?"),
        expectEnd(),
      ],
    ],
    outcome: "HOST_UNAVAILABLE",
  },
  {
    name: "STARTTLS is offered once more in TLS, and not taken",
    transports: ["starttls"],
    villains: [
      (scene) => [
        untilStartTls(scene, (ok) => ok),
        (peer) => peer.startTls(scene.certificate),
        expect(/HLO /),
        reply("250-villain", "250 STARTTLS"),
        expect(/^MAIL/),
        reply("451 4.3.0 enough"),
        leaveOrEnd(),
      ],
    ],
    outcome: "deferred deferred",
    recovers: false,
  },
];

const BAD_CERTIFICATES: readonly CertificateKind[] = ["self-signed", "expired", "not-yet-valid", "wrong-name"];

/** A certificate that is bad, trusted by nobody or not for this name. */
function badCertificates(): HostileCase[] {
  const offers: readonly (readonly [name: string, make: () => ReturnType<typeof makeCertificate>])[] = [
    ...BAD_CERTIFICATES.map((kind) => [`a certificate that is ${kind}`, () => makeCertificate({ kind })] as const),
    ['a certificate for "localhost" only', () => makeCertificate({ kind: "own-ca", names: ["localhost"] })],
    ["a certificate of another authority", () => makeCertificate({ kind: "own-ca", names: ["127.0.0.1", "other"] })],
  ];
  return offers.flatMap(([name, make]): HostileCase[] => [
    {
      name,
      protocols: ALL,
      transports: ["implicit"],
      ownTls: true,
      villains: [() => [async (peer) => peer.startTls(await make()).catch(() => {}), expectEnd()]],
      outcome: "TLS_FAILED",
    },
    {
      name,
      protocols: ALL,
      transports: ["starttls"],
      villains: [
        (scene) => [
          untilStartTls(scene, (ok) => ok),
          async (peer) => peer.startTls(await make()).catch(() => {}),
          expectEnd(),
        ],
      ],
      outcome: "TLS_FAILED",
    },
  ]);
}

const handshakeCases: HostileCase[] = [
  ...badCertificates(),
  {
    name: "a bad certificate where bad ones are allowed",
    protocols: ["smtp", "lmtp"],
    transports: ["implicit"],
    ownTls: true,
    host: { tls: { "allow-invalid-certs": true } },
    villains: [
      (scene) => [
        async (peer) => peer.startTls(await makeCertificate({ kind: "expired" })),
        welcome(scene),
        expect(/^MAIL/),
        reply("451 later"),
        leaveOrEnd(),
      ],
    ],
    outcome: "deferred deferred",
    recovers: false,
  },
  {
    name: "TLS 1.1 and no newer",
    protocols: ALL,
    transports: ["implicit"],
    ownTls: true,
    villains: [
      (scene) => [(peer) => peer.startTls(scene.certificate, { maxVersion: "TLSv1.1" }).catch(() => {}), expectEnd()],
    ],
    outcome: "TLS_FAILED",
  },
  {
    name: "TLS 1.2 where 1.3 is wanted",
    transports: ["implicit"],
    ownTls: true,
    host: { tls: { "min-version": "1.3" } },
    villains: [
      (scene) => [(peer) => peer.startTls(scene.certificate, { maxVersion: "TLSv1.2" }).catch(() => {}), expectEnd()],
    ],
    outcome: "TLS_FAILED",
  },
  {
    name: "garbage in place of a TLS record",
    protocols: ALL,
    transports: ["implicit"],
    ownTls: true,
    villains: [() => [(peer) => peer.read(1), send(Buffer.alloc(64, 0x16)), (peer) => peer.rest()]],
    outcome: "TLS_FAILED",
  },
  {
    name: "the connection is cut in the middle of the handshake",
    protocols: ALL,
    transports: ["implicit"],
    ownTls: true,
    villains: [() => [(peer) => peer.read(1), send(Buffer.from([22, 3, 3, 0, 100, 2])), cut()]],
    outcome: /^(?:TLS_FAILED|REMOTE_CLOSED|CONNECT_FAILED)$/,
  },
];

const imapCases: HostileCase[] = [
  {
    name: "PREAUTH in clear",
    transports: ["plain", "starttls", "implicit"] as const,
    villains: [() => [reply("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome, Eve"), expectEnd()]],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "what was offered in clear counts for nothing in TLS",
    transports: ["starttls"] as const,
    villains: [(scene: Scene) => [welcomeImap(scene, "LOGINDISABLED"), leaveOrEnd()]],
    outcome: "MISSING_AUTH",
    // The connection stands, and gives the same answer again.
    recovers: false,
  },
].map((hostile): HostileCase => ({ ...hostile, protocols: ["imap"] as readonly Protocol[] }));

meet("peers that go wrong at STARTTLS", startTlsCases);
meet("peers that go wrong in the TLS handshake", handshakeCases);
meet("IMAP peers that go wrong before TLS", imapCases);
