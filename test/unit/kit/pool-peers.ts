/** Servers that hold back, or delay, what they say. Serves the tests of the pool. */
import type { HostRig, RigOptions } from "../../kit/host-rig.js";
import { type AnswerLine, friendly, type RigPeer } from "../../kit/rig-peer.js";

/** A server that holds back its replies to some commands until the test gives them. */
export function holding(...verbs: string[]) {
  const held: RigPeer[] = [];
  const answer: RigOptions["answer"] = (line, peer) => {
    if (!verbs.some((verb) => line.startsWith(verb))) {
      return friendly(line, peer);
    }
    held.push(peer);
    return undefined;
  };
  return { answer, held };
}

export const names = (count: number, start = "r") => Array.from({ length: count }, (_, at) => `${start}${at}`);

/** Wrong passwords are answered after five seconds, everything else at once. */
export function refusingLate(rig: () => HostRig): AnswerLine {
  return (line, peer) => {
    const reply = friendly(line, peer);
    if (reply === undefined || !reply.startsWith("535")) {
      return reply;
    }
    rig().clock.after(5_000, () => peer.say(reply));
    return undefined;
  };
}
