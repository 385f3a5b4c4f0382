/** The ordinary parts of a dialogue, for villains that are ordinary until their moment comes. */
import assert from "node:assert/strict";
import type { Script, ScriptedPeer, Step } from "../../../src/testing/index.js";
import type { Scene } from "./ground.js";

/** Greeting, EHLO or LHLO, and STARTTLS where the scene has it: the client may say MAIL now. */
export function welcome(scene: Scene, ...extensions: readonly string[]): Step {
  const verb = scene.protocol === "lmtp" ? "LHLO" : "EHLO";
  const hello = async (peer: ScriptedPeer, offered: readonly string[]) => {
    await peer.expect(new RegExp(`^${verb} me\\.example$`));
    await sayExtensions(peer, offered);
  };
  return async (peer) => {
    await peer.reply("220 villain.example");
    if (scene.transport === "starttls") {
      await hello(peer, ["STARTTLS"]);
      await peer.expect("STARTTLS");
      await peer.reply("220 go ahead");
      await peer.startTls(scene.certificate);
    }
    await hello(peer, extensions);
  };
}

/** `250-villain…` and the extensions. */
export async function sayExtensions(peer: ScriptedPeer, extensions: readonly string[]): Promise<void> {
  const lines = ["villain.example", ...extensions];
  await peer.reply(...lines.map((line, at) => `250${at === lines.length - 1 ? " " : "-"}${line}`));
}

/** IMAP: greeting with capabilities, and STARTTLS where the scene has it. */
export function welcomeImap(scene: Scene, ...capabilities: readonly string[]): Step {
  return async (peer) => {
    const list = ["IMAP4rev1", ...capabilities].join(" ");
    if (scene.transport !== "starttls") {
      await peer.reply(`* OK [CAPABILITY ${list}] hello`);
      return;
    }
    await peer.reply("* OK [CAPABILITY IMAP4rev1 STARTTLS] hello");
    await peer.reply(`${await tagOf(peer, "STARTTLS")} OK go ahead`);
    await peer.startTls(scene.certificate);
    await peer.reply(`* CAPABILITY ${list}`, `${await tagOf(peer, "CAPABILITY")} OK done`);
  };
}

/** Waits for an IMAP command that begins with `verb`; its tag. */
export async function tagOf(peer: ScriptedPeer, verb: string): Promise<string> {
  const line = await peer.expect(new RegExp(`^[A-Za-z0-9]+ ${verb}`));
  return line.slice(0, line.indexOf(" "));
}

/** Reads a whole pipelined envelope: MAIL, so many RCPTs, DATA. */
export function envelope(recipients = 2): Step {
  return async (peer) => {
    await peer.expect(/^MAIL FROM:</);
    for (let count = 0; count < recipients; count++) {
      await peer.expect(/^RCPT TO:</);
    }
    await peer.expect("DATA");
  };
}

/** Accepts everything up to 354 and reads the content. */
export function takeMessage(recipients = 2): Script {
  return [
    envelope(recipients),
    (peer) => peer.reply("250 ok", ...new Array<string>(recipients).fill("250 ok"), "354 go on"),
    (peer) => peer.content(),
  ];
}

/** The client closes; before that it may take its leave, and say nothing else. */
export function leaveOrEnd(): Step {
  return async (peer) => {
    const rest = (await peer.rest()).toString("latin1");
    assert.match(rest, /^(?:QUIT\r\n|[A-Za-z0-9]+ LOGOUT\r\n)?$/, "nothing but a goodbye may follow");
  };
}

/** Every way to secure a connection. */
export const TRANSPORTS = ["plain", "starttls", "implicit"] as const;

/** What messages are relayed by. */
export const MAIL_PROTOCOLS = ["smtp", "lmtp"] as const;

/** A pipelining villain. */
export const pipelining = (scene: Scene, ...script: Script[]): Script => [welcome(scene, "PIPELINING"), ...script];

/** After a definite verdict the connection may be used again, be left, or ended. */
export function leaveOrSayMore(): Script {
  return async (peer: ScriptedPeer) => {
    let accepted = 0;
    for (;;) {
      const line = await Promise.race([peer.line(), peer.ended.then(() => "")]).catch(() => "");
      if (line === "" || line === "QUIT") {
        return;
      }
      if (line.startsWith("RCPT")) {
        accepted++;
      }
      if (/^(?:RSET|MAIL|RCPT)/.test(line)) {
        await peer.reply("250 ok");
      } else if (line === "DATA") {
        await peer.reply("354 go on");
        await peer.content();
        await peer.reply("250 ok", "250 ok");
      } else if (accepted > 0 && /^BDAT \d+ LAST$/.test(line)) {
        await peer.read(Number(line.split(" ")[1]));
        await peer.reply("250 ok", "250 ok");
      } else {
        assert.fail(`said ${line}`);
      }
    }
  };
}
