/**
 * The ground on which hostile peers are met: each case has a server of its own whose first connections play the villain and all later
 * ones a strict judge, and a host of its own in one RemoteHosts for the whole file. The tables of cases are in the tests beside.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pino } from "pino";
import { type ConfigInput, RelaypostError, type RemoteHost, RemoteHosts } from "../../../src/index.js";
import {
  type Certificate,
  inTurn,
  type ListenOptions,
  type MailSessionOptions,
  makeCertificate,
  play as perform,
  type Script,
  type ScriptedPeer,
  ScriptedServer,
  type StrictService,
  strictImapService,
  strictMailService,
} from "../../../src/testing/index.js";

export type Protocol = "smtp" | "lmtp" | "imap";

/** How a connection is secured. */
export type Transport = "plain" | "starttls" | "implicit";

/** What a villain's script is told. */
export interface Scene {
  readonly protocol: Protocol;
  readonly transport: Transport;
  /** The one that the host trusts. */
  readonly certificate: Certificate;
}

type HostInput = NonNullable<ConfigInput["remote"]>[string];

/** One hostile peer, and what must come of it. */
export interface HostileCase {
  readonly name: string;
  /** Default: `smtp`. */
  readonly protocols?: readonly Protocol[];
  /** Default: `plain`. */
  readonly transports?: readonly Transport[];
  /** What the first connections meet, one script each; then comes the judge. */
  readonly villains: readonly ((scene: Scene) => Script)[];
  /** The villain does its own TLS: connections are taken as they come, though the host uses implicit TLS. */
  readonly ownTls?: boolean;
  readonly listen?: ListenOptions;
  /** How the judge, which serves whoever comes later, differs from the usual. */
  readonly judge?: MailSessionOptions;
  /** Over the usual configuration. */
  readonly host?: Omit<Partial<HostInput>, "address" | "port" | "protocol">;
  /** Default: {@link relayToTwo}, and for IMAP {@link login}. */
  readonly ask?: (host: RemoteHost) => Promise<unknown>;
  /** See {@link outcomeOf}. */
  readonly outcome: string | RegExp;
  /** What must hold when everything is over. */
  readonly check?: (result: { judge: StrictService; server: ScriptedServer; value: unknown }) => void | Promise<void>;
  /** Ask once more and find the host well. Default `true`. */
  readonly recovers?: boolean;
}

/** What users there are. */
export const USER = { username: "ann", secret: "open sesame" };

/** Patient enough for a busy machine, short enough for a test that waits for one of them. */
const SHORT = "800ms";
const TIMEOUTS = {
  greeting: SHORT,
  mail: SHORT,
  rcpt: SHORT,
  "data-initiation": SHORT,
  "data-block": SHORT,
  "data-termination": SHORT,
  command: SHORT,
};

/** A message to two recipients. */
export function relayToTwo(host: RemoteHost): Promise<unknown> {
  return host.relay({ from: "me@x.example", to: ["a@y.example", "b@y.example"] }, "Subject: x\r\n\r\n.hello\r\n");
}

/** A message to one. */
export function relayToOne(host: RemoteHost): Promise<unknown> {
  return host.relay({ from: "me@x.example", to: "a@y.example" }, "Subject: x\r\n\r\n.hello\r\n");
}

/** A right password, as the judge sees it. */
export function login(host: RemoteHost): Promise<unknown> {
  return host.authenticate(USER);
}

/**
 * What came of a request in one word: the statuses of a message's recipients, `found`, `not found`, or the code of the error.
 */
export async function outcomeOf(request: Promise<unknown>): Promise<{ word: string; value: unknown }> {
  try {
    const value = (await request) as { recipients?: { status: string }[]; found?: boolean };
    if (value.recipients !== undefined) {
      return { word: value.recipients.map(({ status }) => status).join(" "), value };
    }
    return { word: value.found ? "found" : "not found", value };
  } catch (error) {
    if (!(error instanceof RelaypostError)) {
      throw error;
    }
    return { word: error.code, value: error };
  }
}

interface Stage {
  readonly hostile: HostileCase;
  readonly scene: Scene;
  readonly id: string;
  readonly server: ScriptedServer;
  readonly judge: StrictService;
  /** One for each villain that was met: settled when its script is over. */
  readonly played: Promise<unknown>[];
}

/** Declares a test for each case, protocol and transport. */
export function meet(title: string, cases: readonly HostileCase[]): void {
  describe(title, { concurrency: 24 }, () => {
    const stages = new Map<string, Stage>();
    let hosts: RemoteHosts;
    let folder: string;
    let isSetUp: Promise<void>;
    const names = cases.flatMap((hostile) =>
      (hostile.protocols ?? ["smtp"]).flatMap((protocol) =>
        (hostile.transports ?? ["plain"]).map((transport) => ({ hostile, protocol, transport })),
      ),
    );
    before(() => {
      isSetUp = (async () => {
        const certificate = await makeCertificate({ kind: "own-ca" });
        folder = mkdtempSync(join(tmpdir(), "relaypost-hostile-"));
        writeFileSync(join(folder, "ca.pem"), certificate.ca);
        for (const [index, { hostile, protocol, transport }] of names.entries()) {
          const scene = { protocol, transport, certificate };
          stages.set(nameOf(hostile, protocol, transport), await setUp(hostile, scene, `case-${index}`));
        }
        hosts = await RemoteHosts.open(configurationOf([...stages.values()], join(folder, "ca.pem")), {
          logger: pino({ level: "silent" }),
        });
      })();
      return isSetUp;
    });
    after(async () => {
      await hosts.close({ drainMs: 0 });
      rmSync(folder, { recursive: true });
    });
    for (const { hostile, protocol, transport } of names) {
      const name = nameOf(hostile, protocol, transport);
      test(name, async () => {
        await isSetUp;
        await play(stages.get(name)!, hosts);
      });
    }
  });
}

function nameOf(hostile: HostileCase, protocol: Protocol, transport: Transport): string {
  return `${protocol}, ${transport}: ${hostile.name}`;
}

async function setUp(hostile: HostileCase, scene: Scene, id: string): Promise<Stage> {
  const startTls = scene.transport === "starttls" ? { startTls: scene.certificate } : {};
  const judge =
    scene.protocol === "imap"
      ? strictImapService({ users: { [USER.username]: USER.secret }, ...startTls })
      : strictMailService({
          protocol: scene.protocol,
          users: { [USER.username]: USER.secret },
          lists: { staff: ["<a@y.example>"] },
          mailboxes: { "a@y.example": "<a@y.example>" },
          ...startTls,
          ...hostile.judge,
        });
  const isImplicit = scene.transport === "implicit";
  // A villain that does its own TLS takes the socket as it is; the judge behind it still needs its handshake.
  const judged: Script =
    isImplicit && hostile.ownTls ? [(peer) => peer.startTls(scene.certificate), judge.script] : judge.script;
  const played: Promise<unknown>[] = [];
  const villains = hostile.villains.map((villain) => (peer: ScriptedPeer) => {
    const over = perform(villain(scene), peer);
    // Looked at in the end; until then a failure is nobody's fault.
    over.catch(() => {});
    played.push(over);
    return over;
  });
  const scripts: [Script, ...Script[]] = [villains[0] ?? judged, ...villains.slice(1), judged];
  const server = await ScriptedServer.listen(inTurn(...scripts), {
    ...(isImplicit && !hostile.ownTls ? { implicitTls: scene.certificate } : {}),
    ...hostile.listen,
  });
  return { hostile, scene, id, server, judge, played };
}

function configurationOf(stages: readonly Stage[], caFile: string): ConfigInput {
  const remote = Object.fromEntries(
    stages.map(({ hostile, scene, id, server }): [string, HostInput] => {
      const { tls, timeouts, auth, limits, ...rest } = hostile.host ?? {};
      const host: HostInput = {
        address: server.address,
        port: server.port,
        protocol: scene.protocol,
        lookup: true,
        timeout: "1s",
        concurrency: 2,
        tls: {
          implicit: scene.transport === "implicit",
          ca: caFile,
          ...(scene.transport === "plain" ? { starttls: "disable" } : {}),
          ...tls,
        },
        timeouts: { ...TIMEOUTS, ...timeouts },
        limits: { idle: "200ms", ...limits },
        cache: { entries: 0 },
        ...rest,
      };
      // Users' logins over plain text would be refused before they meet the villain.
      const asked = { ...(scene.transport === "plain" ? { "allow-plaintext": true } : {}), ...auth };
      return [id, Object.keys(asked).length > 0 ? { ...host, auth: asked } : host];
    }),
  );
  return { runtime: { hostname: "me.example", threads: 2 }, remote };
}

async function play(stage: Stage, hosts: RemoteHosts): Promise<void> {
  const { hostile, scene, server, judge, played } = stage;
  const host = hosts.host(stage.id);
  const ask = hostile.ask ?? (scene.protocol === "imap" ? login : relayToTwo);
  try {
    const { word, value } = await outcomeOf(ask(host));
    if (typeof hostile.outcome === "string") {
      assert.equal(word, hostile.outcome, describeValue(value));
    } else {
      assert.match(word, hostile.outcome, describeValue(value));
    }
    if (hostile.recovers ?? true) {
      const again = await outcomeOf(scene.protocol === "imap" ? login(host) : relayToTwo(host));
      assert.equal(again.word, scene.protocol === "imap" ? "found" : "delivered delivered", describeValue(again.value));
    }
    await hostile.check?.({ judge, server, value });
    assert.deepEqual(judge.ledger.violations, []);
    // Every villain has seen the end that its script waits for: nothing was sent behind what should have ended it.
    assert.equal(played.length, hostile.villains.length, "every villain was met");
    await Promise.all(played);
  } finally {
    await server.close();
  }
}

function describeValue(value: unknown): string {
  return value instanceof Error ? `${value.message}` : JSON.stringify(value);
}
