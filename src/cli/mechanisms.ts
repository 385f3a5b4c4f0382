/** The SASL mechanisms that a host offers, as a probe saw it. Serves probe and doctor. */
import type { ProbeReport } from "../../workers/probe/probe.js";

/** SASL mechanisms: `AUTH PLAIN LOGIN` of EHLO, `AUTH=PLAIN` of CAPABILITY. */
export function mechanismsOf({ extensions = [] }: ProbeReport): string[] {
  return extensions.flatMap((extension) => {
    const [word = "", ...rest] = extension.split(" ");
    if (word.toUpperCase() === "AUTH") {
      return rest;
    }
    return word.toUpperCase().startsWith("AUTH=") ? [word.slice(5)] : [];
  });
}
