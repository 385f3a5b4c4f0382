/** The progress bar of the long commands, and the lines that pass it. Serves relay.ts and the demo. */
import { MultiBar, Presets } from "cli-progress";
import type { Output } from "./terminal.js";

/** A bar that is there, or one that nobody would see. */
export interface Progress {
  advance(): void;
  /** A result line, written so that the bar stays below it. */
  line(text: string): void;
  stop(): void;
}

/** Shows a bar on standard error where a person watches it. `title` undefined: not wanted. */
export function showProgress(output: Output, title: string | undefined, total: number | undefined): Progress {
  if (title === undefined || !output.isWatched) {
    return { advance() {}, line: (text) => output.line(text), stop() {} };
  }
  const format =
    total === undefined
      ? `${title} {value} messages, {duration_formatted}`
      : `${title} {bar} {value}/{total}, {eta_formatted} left`;
  const bars = new MultiBar(
    { format, stream: process.stderr, clearOnComplete: true, hideCursor: true, gracefulExit: false, barsize: 30 },
    Presets.shades_classic,
  );
  const bar = bars.create(total ?? 0, 0);
  const above = (text: string) => bars.log(`${text}\n`);
  output.aside = above;
  return {
    advance: () => bar.increment(),
    line: (text) => (output.isOnScreen ? above(text) : output.line(text)),
    stop() {
      output.aside = undefined;
      bars.stop();
    },
  };
}
