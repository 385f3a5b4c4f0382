/**
 * What was seen lately, by name, in two generations: when the young one is old or full, it takes the place of the old one, which
 * is forgotten. Each step costs the same however many names there are; a Map that loses its first entry again and again does not.
 */
export class Generations<V> {
  private young = new Map<string, V>();
  private old = new Map<string, V>();
  private bornMs = Number.NEGATIVE_INFINITY;

  /**
   * @param lifeMs how long a name is kept at least, where there is room, and half as long as it is kept at most
   * @param most names that are kept
   */
  constructor(
    private readonly lifeMs: number,
    private readonly most: number,
  ) {}

  get size(): number {
    return this.young.size + this.old.size;
  }

  get(name: string, nowMs: number): V | undefined {
    this.age(nowMs);
    return this.young.get(name) ?? this.old.get(name);
  }

  set(name: string, value: V, nowMs: number): void {
    this.age(nowMs);
    if (this.young.size >= this.most / 2 && !this.young.has(name)) {
      this.turn(nowMs);
    }
    this.old.delete(name);
    this.young.set(name, value);
  }

  private age(nowMs: number): void {
    const ageMs = nowMs - this.bornMs;
    if (ageMs >= this.lifeMs) {
      this.turn(nowMs);
    }
    if (ageMs >= 2 * this.lifeMs) {
      this.old.clear();
    }
  }

  private turn(nowMs: number): void {
    this.old = this.young;
    this.young = new Map();
    this.bornMs = nowMs;
  }
}
