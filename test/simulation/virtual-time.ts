/** The one clock of a simulated run: events in the order of their time, and those of one time in the order in which they were set. */

interface Event {
  readonly dueMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

export class VirtualTime {
  nowMs = 0;
  /** Events run so far: a run that does not come to rest is found out. */
  count = 0;
  private readonly heap: Event[] = [];
  private order = 0;
  private readonly followers: (() => void)[] = [];

  /** Calls back after `ms`. The result cancels it. */
  after(ms: number, run: () => void): () => void {
    const event: Event = { dueMs: this.nowMs + Math.max(0, ms), order: this.order++, run };
    this.sink(event);
    return () => {
      event.run = undefined;
    };
  }

  /** At the end of the event that runs now, as process.nextTick does for a real one. */
  soon(run: () => void): void {
    this.followers.push(run);
  }

  /** Runs one event. False: none is left. */
  step(): boolean {
    for (;;) {
      const event = this.take();
      if (event === undefined) {
        return false;
      }
      const { run } = event;
      if (run === undefined) {
        continue;
      }
      this.nowMs = event.dueMs;
      this.count++;
      event.run = undefined;
      run();
      this.settle();
      return true;
    }
  }

  /** Runs what was left for the end of the event. */
  settle(): void {
    for (let follower = this.followers.shift(); follower !== undefined; follower = this.followers.shift()) {
      follower();
    }
  }

  private sink(event: Event): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (isBefore(heap[above]!, event)) {
        break;
      }
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = event;
  }

  private take(): Event | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) {
      return first;
    }
    let at = 0;
    for (let below = 1; below < heap.length; below = 2 * at + 1) {
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) {
        below++;
      }
      if (isBefore(last, heap[below]!)) {
        break;
      }
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
