/** Peers that send without end where a reply is due: the client stops reading, and its memory stays where it is. Counted in octets, not in time. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type Certificate,
  expect,
  makeCertificate,
  reply,
  type Script,
  type ScriptedPeer,
  ScriptedServer,
  strictImapService,
  strictMailService,
} from "../../src/testing/index.js";
import type { FloodReport } from "./kit/flooded-client.js";
import { type Protocol, type Scene, type Transport, USER } from "./kit/ground.js";
import { tagOf, takeMessage, welcome, welcomeImap } from "./kit/lines.js";

const MEBIBYTE = 1024 * 1024;
const GIBIBYTE = 1024 * MEBIBYTE;
/**
 * What the client leaves unread stands in buffers of the kernel, a few hundred KiB on its side and up to 4 MiB on the peer's
 * (tcp_wmem); the client itself reads 64 KiB of a reply at most.
 */
const MOST_TAKEN_OCTETS = 8 * MEBIBYTE;
/** The catalogue of hostile peers: "a gigabyte without newline must cost less than 16 MiB". */
const MOST_GROWN_OCTETS = 16 * MEBIBYTE;

interface Flood {
  readonly name: string;
  readonly protocol: Protocol;
  readonly transports?: readonly Transport[];
  readonly ask: "relay" | "login" | "vrfy";
  /** Up to where the flood begins. */
  readonly begin: (scene: Scene) => Script;
  /** What it begins with, and goes on with. */
  readonly first?: (tag: string) => string;
  readonly block?: string;
  readonly outcome: string;
}

const EVERY = ["plain", "starttls", "implicit"] as const;

/** The tag of the command that a connection's flood answers. */
const tags = new WeakMap<ScriptedPeer, string>();

/** IMAP: up to the client's login. */
const imapLogin: Flood["begin"] = (scene) => [
  welcomeImap(scene, "AUTH=PLAIN"),
  async (peer) => tags.set(peer, await tagOf(peer, "AUTHENTICATE")),
];

const FLOODS: readonly Flood[] = [
  { name: "the greeting", protocol: "smtp", ask: "relay", begin: () => [], outcome: "REMOTE_PROTOCOL" },
  {
    name: "the reply to EHLO",
    protocol: "smtp",
    ask: "relay",
    begin: () => [reply("220 hi"), expect(/^EHLO /)],
    first: () => "250-",
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "the reply to VRFY",
    protocol: "smtp",
    transports: EVERY,
    ask: "vrfy",
    begin: (scene) => [welcome(scene), expect(/^VRFY/)],
    first: () => "250 ",
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "lines of one reply to VRFY",
    protocol: "smtp",
    ask: "vrfy",
    begin: (scene) => [welcome(scene), expect(/^VRFY/)],
    block: "250-<somebody@y.example>\r\n",
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "the verdict on a message",
    protocol: "lmtp",
    transports: EVERY,
    ask: "relay",
    begin: (scene) => [welcome(scene, "PIPELINING"), takeMessage(1)],
    first: () => "250 ",
    outcome: "uncertain",
  },
  {
    name: "the greeting",
    protocol: "imap",
    ask: "login",
    begin: () => [],
    first: () => "* OK ",
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "the answer to a login",
    protocol: "imap",
    transports: EVERY,
    ask: "login",
    begin: imapLogin,
    first: (tag) => `${tag} OK `,
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "a challenge",
    protocol: "imap",
    ask: "login",
    begin: imapLogin,
    first: () => "+ ",
    outcome: "REMOTE_PROTOCOL",
  },
  ...[65_536n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 64n].map(
    (octets): Flood => ({
      name: `a literal of ${octets} octets`,
      protocol: "imap",
      transports: ["plain", "implicit"],
      ask: "login",
      begin: imapLogin,
      first: () => `* LIST () "/" {${octets}}\r\n`,
      outcome: "REMOTE_PROTOCOL",
    }),
  ),
  {
    name: "literals that each fit",
    protocol: "imap",
    ask: "login",
    begin: imapLogin,
    first: () => "* X",
    block: ` {1000}\r\n${"y".repeat(1000)}`,
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "untagged responses",
    protocol: "imap",
    ask: "login",
    begin: imapLogin,
    block: "* 5 EXISTS\r\n",
    outcome: "REMOTE_PROTOCOL",
  },
];

describe("a peer that sends a gigabyte in place of", { concurrency: 2 }, () => {
  let certificate: Certificate;
  let folder: string;

  before(async () => {
    certificate = await makeCertificate({ kind: "own-ca" });
    folder = mkdtempSync(join(tmpdir(), "relaypost-flood-"));
    writeFileSync(join(folder, "ca.pem"), certificate.ca);
  });
  after(() => rmSync(folder, { recursive: true }));

  /** Floods one client, in a process of its own. */
  async function flood(flood: Flood, transport: Transport): Promise<FloodReport & { taken: number }> {
    const { protocol, begin, first, block, ask } = flood;
    const scene: Scene = { protocol, transport, certificate };
    let taken = 0;
    const implicitTls = transport === "implicit" ? { implicitTls: certificate } : {};
    const villain = await ScriptedServer.listen(
      [
        begin(scene),
        async (peer: ScriptedPeer) => {
          await peer.send(first?.(tags.get(peer) ?? "") ?? "");
          const octets = Buffer.alloc(64 * 1024, block ?? "x");
          while (taken < GIBIBYTE && (await peer.send(octets))) {
            taken += octets.length;
          }
          peer.close();
        },
      ],
      implicitTls,
    );
    const startTls = transport === "starttls" ? { startTls: certificate } : {};
    const users = { [USER.username]: USER.secret };
    const judge =
      protocol === "imap"
        ? strictImapService({ users, ...startTls })
        : strictMailService({ protocol, mailboxes: { "a@y.example": "<a@y.example>" }, ...startTls });
    const calm = await ScriptedServer.listen(judge.script, implicitTls);
    try {
      const host = ({ address, port }: ScriptedServer) => ({
        ...{ address, port, protocol, lookup: true, concurrency: 1, auth: { "allow-plaintext": true } },
        tls: {
          implicit: transport === "implicit",
          ca: join(folder, "ca.pem"),
          ...(transport === "plain" ? { starttls: "disable" } : {}),
        },
      });
      const configuration = {
        runtime: { hostname: "me.example", threads: 1 },
        remote: { calm: host(calm), flood: host(villain) },
      };
      return { ...(await run(configuration, ask)), taken };
    } finally {
      await Promise.all([villain.close(), calm.close()]);
    }
  }

  for (const each of FLOODS) {
    for (const transport of each.transports ?? ["plain"]) {
      test(`${each.name} (${each.protocol}, ${transport})`, async () => {
        const { word, grownOctets, taken } = await flood(each, transport);
        assert.equal(word, each.outcome);
        assert.ok(taken < MOST_TAKEN_OCTETS, `${taken} octets were taken`);
        assert.ok(grownOctets < MOST_GROWN_OCTETS, `its memory grew by ${grownOctets} octets`);
      });
    }
  }
});

async function run(configuration: unknown, ask: string): Promise<FloodReport> {
  const program = fileURLToPath(new URL("./kit/flooded-client.js", import.meta.url));
  const child = spawn(process.execPath, [program, JSON.stringify(configuration), ask], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 60_000,
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += String(chunk);
  });
  const [code] = (await once(child, "close")) as [number | null];
  assert.equal(code, 0, output);
  return JSON.parse(output) as FloodReport;
}
