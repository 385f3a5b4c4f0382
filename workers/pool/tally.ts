/** How many there are of each: connections by the user and the client that they work for, or are opened for. */

export class Tally {
  private readonly counts = new Map<string, number>();

  of(key: string): number {
    return this.counts.get(key) ?? 0;
  }

  add(key: string): void {
    this.counts.set(key, this.of(key) + 1);
  }

  set(key: string, count: number): void {
    this.counts.set(key, count);
  }

  /** False: there was none. */
  remove(key: string): boolean {
    const count = this.of(key) - 1;
    if (count > 0) {
      this.counts.set(key, count);
    } else {
      this.counts.delete(key);
    }
    return count >= 0;
  }

  [Symbol.iterator](): IterableIterator<[key: string, count: number]> {
    return this.counts.entries();
  }

  copy(): Tally {
    const copy = new Tally();
    for (const [key, count] of this) {
      copy.counts.set(key, count);
    }
    return copy;
  }
}
