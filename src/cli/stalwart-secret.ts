/** What Stalwart writes in place of a secret, as relaypost says it. Serves check-stalwart.ts. */

/** A key of relaypost that says where a secret stands, and what has to be seen to. */
export interface SecretPlace {
  readonly key: "auth.secret-env" | "auth.secret-file";
  readonly value: string;
  readonly remark: string;
}

/** `%{env:NAME}%`, `%{file:PATH}%` and `file://PATH`; `undefined` for a secret that stands there itself. */
export function secretPlaceOf(secret: unknown): SecretPlace | undefined {
  if (typeof secret !== "string") {
    return undefined;
  }
  const variable = /^%\{env:([A-Za-z_][A-Za-z0-9_]*)\}%$/.exec(secret)?.[1];
  if (variable !== undefined) {
    return { key: "auth.secret-env", value: variable, remark: `${variable} has to be set for relaypost, too` };
  }
  const file = /^(?:%\{file:(.+)\}%|file:\/\/(.+))$/.exec(secret);
  const path = file?.[1] ?? file?.[2];
  if (path === undefined) {
    return undefined;
  }
  return {
    key: "auth.secret-file",
    value: path,
    remark: "relaypost has to be able to read that file, which is one line",
  };
}

/** Whether a value holds something that Stalwart replaces and relaypost does not. */
export function holdsMacro(value: unknown): boolean {
  return typeof value === "string" && /%\{[a-z]+:.*\}%|^file:\/\//s.test(value);
}
