import type { RigOptions } from "../../kit/host-rig.js";
import { friendly, type RigPeer } from "../../kit/rig-peer.js";

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
