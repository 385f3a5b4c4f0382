/**
 * Requests by the AbortSignal that gives them up. One listener for each signal, whatever number of requests share it:
 * an EventTarget walks all its listeners for each one that is added. Serves mailbox.ts.
 */
export class AbortWatch<T> {
  private readonly watched = new Map<AbortSignal, { readonly items: Set<T>; readonly listener: () => void }>();

  constructor(private readonly abort: (item: T, signal: AbortSignal) => void) {}

  add(signal: AbortSignal, item: T): void {
    let entry = this.watched.get(signal);
    if (entry === undefined) {
      const items = new Set<T>();
      const listener = (): void => {
        for (const each of items) {
          this.abort(each, signal);
        }
      };
      entry = { items, listener };
      this.watched.set(signal, entry);
      signal.addEventListener("abort", listener);
    }
    entry.items.add(item);
  }

  remove(signal: AbortSignal, item: T): void {
    const entry = this.watched.get(signal);
    if (entry === undefined || !entry.items.delete(item) || entry.items.size > 0) {
      return;
    }
    this.watched.delete(signal);
    signal.removeEventListener("abort", entry.listener);
  }
}
