/** A branch of a setting, as an object: what TOML writes as `{ if = …, then = V }`. */
export function branch(condition: object, value: unknown): object {
  // biome-ignore lint/suspicious/noThenProperty: a branch has one, and nobody awaits it
  return Object.fromEntries([...Object.entries(condition), ["then", value]]);
}
