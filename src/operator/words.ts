/** How the diagnosis says numbers and times. */

/** `12 s`, `3 min`, `2 h`. */
export function span(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) {
    return `${Math.round(seconds * 10) / 10} s`;
  }
  if (seconds < 120) {
    return `${Math.round(seconds)} s`;
  }
  if (seconds < 7_200) {
    return `${Math.round(seconds / 60)} min`;
  }
  return `${Math.round(seconds / 3600)} h`;
}

/** `850 ms`, `1.2 s`. */
export function duration(ms: number): string {
  if (ms < 10) {
    return `${Math.round(ms * 10) / 10} ms`;
  }
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`;
}

/** `0.4`, `35`, `1,200`. */
export function rate(perSecond: number): string {
  return perSecond < 10 ? String(Math.round(perSecond * 10) / 10) : Math.round(perSecond).toLocaleString("en-US");
}

/** `1 connection`, `3 connections`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Ends a text as a sentence does, and begins none anew. */
export function clause(text: string): string {
  return text.replace(/[.\s]+$/, "");
}
