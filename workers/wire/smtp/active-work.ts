/**
 * A few things in the order in which they came, any of which may leave at any time, also while they are gone through.
 *
 * A `Set` could do it, at a price: one whose members come and go makes itself anew every few of them, each table knows the one that replaced it,
 * and once a dead one has grown old, V8's young collections keep all that came after it, message contents included, until the next full one.
 */
export class ActiveWork<T> {
  private readonly items: T[] = [];

  get size(): number {
    return this.items.length;
  }

  /** The one that came first. */
  get first(): T | undefined {
    return this.items[0];
  }

  /** Adds it where it is not there yet. */
  add(item: T): void {
    if (!this.items.includes(item)) {
      this.items.push(item);
    }
  }

  delete(item: T): void {
    const { items } = this;
    const at = items.indexOf(item);
    if (at === -1) {
      return;
    }
    if (at === items.length - 1) {
      items.pop();
    } else {
      items.splice(at, 1);
    }
  }

  /** Calls `visit` with each of them, those included that come meanwhile, until one call returns true. */
  some(visit: (item: T) => unknown): boolean {
    const { items } = this;
    for (let at = 0; at < items.length; ) {
      const item = items[at]!;
      if (visit(item) === true) {
        return true;
      }
      // One that left moved those behind it up.
      if (items[at] === item) {
        at++;
      }
    }
    return false;
  }

  each(visit: (item: T) => void): void {
    this.some((item) => {
      visit(item);
      return false;
    });
  }

  /** Empties it. Returns who was there. */
  takeAll(): T[] {
    return this.items.splice(0);
  }
}
