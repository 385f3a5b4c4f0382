/** The methods of a peer as steps of a list, for scripts that are easier to read as a dialogue than as a function. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Certificate } from "./certificates.js";
import type { ScriptedPeer, TlsOptions } from "./peer.js";

/** One step of a script. */
export type Step = (peer: ScriptedPeer) => unknown;

/** Sends lines, each ended with CRLF, in one segment. */
export function reply(...lines: readonly string[]): Step {
  return (peer) => peer.reply(...lines);
}

/** Sends a string or bytes as they are; each item of an array is a segment of its own. */
export function send(data: string | Uint8Array | readonly (string | Uint8Array)[]): Step {
  return (peer) => peer.send(data);
}

/** Sends each octet in a segment of its own. */
export function sendOctets(data: string | Uint8Array): Step {
  return (peer) => peer.sendOctets(data);
}

/** Sends the same again and again until the client is gone. */
export function sendForEver(data: string | Uint8Array): Step {
  return async (peer) => {
    while (await peer.send(data)) {}
  };
}

/** Waits for a line (string or regular expression) or for bytes. */
export function expect(pattern: string | RegExp | Uint8Array): Step {
  return (peer) => peer.expect(pattern);
}

/** Waits for one line after the other. */
export function expectLines(...patterns: readonly (string | RegExp)[]): Step {
  return async (peer) => {
    for (const pattern of patterns) {
      await peer.expect(pattern);
    }
  };
}

/** Reads mail data up to the final dot. */
export function expectContent(): Step {
  return (peer) => peer.content();
}

/** Waits until the client closes, and fails when it says anything before that. */
export function expectEnd(): Step {
  return (peer) => peer.expectEnd();
}

/** Waits for something that happens elsewhere. */
export function waitFor(event: Promise<unknown> | ((peer: ScriptedPeer) => unknown)): Step {
  return (peer) => (typeof event === "function" ? event(peer) : event);
}

/** Waits for a time. Prefer {@link waitFor} where there is an event to wait for. */
export function delay(ms: number): Step {
  return () => sleep(ms);
}

/** Answers the TLS handshake; say the 220 or OK before. */
export function startTls(certificate: Certificate, options: TlsOptions = {}): Step {
  return (peer) => peer.startTls(certificate, options);
}

/** Says nothing (more) and reads on until the client goes away. */
export function silence(): Step {
  return (peer) => {
    peer.takeOver(() => {});
    return peer.ended;
  };
}

/** Sends FIN and reads on. */
export function halfClose(): Step {
  return (peer) => peer.halfClose();
}

/** Closes after what was sent. */
export function close(): Step {
  return (peer) => peer.close();
}

/** Cuts the connection with an RST. */
export function reset(): Step {
  return (peer) => peer.reset();
}

/** Cuts the connection; inside TLS without close_notify. */
export function cut(): Step {
  return (peer) => peer.destroy();
}

/** Takes nothing more off the socket. */
export function stopReading(): Step {
  return (peer) => peer.stopReading();
}
