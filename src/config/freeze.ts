/** Makes settings unchangeable, so that every part of the house may keep a reference. Serves load.ts. */

/** Freezes plain data through and through. Cycles are allowed. */
export function deepFreeze(value: unknown): void {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) {
    return;
  }
  // Typed arrays cannot be frozen.
  if (ArrayBuffer.isView(value)) {
    return;
  }
  Object.freeze(value);
  for (const inner of Object.values(value)) {
    deepFreeze(inner);
  }
}

/** A map that refuses to change. Structured clone makes a plain map of it. */
export function freezeMap<Key, Value>(map: Map<Key, Value>): ReadonlyMap<Key, Value> {
  const refuse = (): never => {
    throw new TypeError("settings cannot be changed");
  };
  for (const method of ["set", "delete", "clear"]) {
    Object.defineProperty(map, method, { value: refuse });
  }
  return Object.freeze(map);
}
