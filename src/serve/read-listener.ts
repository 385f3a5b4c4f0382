/** Makes the settings of one listener from its table: what keys say of each other, of the hosts, and of files. Serves load.ts. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { readKeyPair } from "../config/key-pair.js";
import type { Schema, ValuesOf } from "../config/key-spec.js";
import type { Problems } from "../config/problems.js";
import { asTable, readTable, type TableReading } from "../config/read-table.js";
import { digestOf } from "../dashboard/token.js";
import { type IpRange, parseIpRange } from "../rules/ip-range.js";
import { isLocal, parseListenAddress } from "./listen-address.js";
import { LISTENER_SCHEMAS, MAP_NAME, SERVE_PROTOCOLS, type ServeProtocol } from "./schema.js";
import type {
  ControlSettings,
  GatewaySettings,
  HttpSettings,
  ListenerSettings,
  PolicySettings,
  Ruled,
} from "./settings.js";

/** What a listener may refer to. */
export interface ServeSurroundings {
  readonly problems: Problems;
  /** Relative file names start from it. */
  readonly directory: string;
  /** `runtime.hostname`. */
  readonly hostname: string;
  readonly hosts: ReadonlyMap<string, { readonly protocol: unknown; readonly lookup: boolean }>;
  readonly ruleNames: ReadonlySet<string>;
}

const LEAST_TOKEN = 16;

type Values<P extends ServeProtocol> = ValuesOf<(typeof LISTENER_SCHEMAS)[P]>;

/** What a host is wanted for. */
const PURPOSES = {
  mail: { protocols: ["smtp", "lmtp"], needsLookup: false, what: "an SMTP or LMTP host" },
  recipients: { protocols: ["smtp", "lmtp"], needsLookup: true, what: "an SMTP or LMTP host" },
  passwords: { protocols: ["smtp", "lmtp", "imap"], needsLookup: true, what: "a host" },
} as const;

/** The settings of `serve.<name>`. Only meaningful while no problem was found. */
export async function readListener(
  name: string,
  input: unknown,
  around: ServeSurroundings,
): Promise<ListenerSettings | undefined> {
  const path = ["serve", name];
  const table = asTable(input, path, around.problems);
  if (table === undefined) {
    return undefined;
  }
  const protocol = SERVE_PROTOCOLS.find((known) => known === table.protocol);
  if (protocol === undefined) {
    const forms = SERVE_PROTOCOLS.map((known) => `"${known}"`).join(", ");
    around.problems.add([...path, "protocol"], `must be one of ${forms}`);
    return undefined;
  }
  const reading = readTable(table, path, LISTENER_SCHEMAS[protocol] as Schema, around.problems);
  if (reading.given.has("mode") && !String(table.listen).startsWith("unix:")) {
    around.problems.add([...path, "mode"], "is for unix sockets only; leave it out");
  }
  if (reading.given.has("proxy-from") && String(table.listen).startsWith("unix:")) {
    around.problems.add([...path, "proxy-from"], "is for TCP listeners only: nobody has an address on a unix socket");
  }
  return await new ListenerReader(name, path, reading, around).read(protocol);
}

class ListenerReader {
  constructor(
    private readonly name: string,
    private readonly path: readonly string[],
    private readonly reading: TableReading<Schema>,
    private readonly around: ServeSurroundings,
  ) {}

  async read(protocol: ServeProtocol): Promise<ListenerSettings> {
    switch (protocol) {
      case "socketmap": {
        const values = this.values(protocol);
        return { ...this.common(values), ...answered(values), protocol, value: values.value };
      }
      case "tcp-table": {
        const values = this.values(protocol);
        this.checkHost(MAP_NAME.exec(values.map ?? "")?.[1], "recipients", ["map"]);
        return { ...this.common(values), ...answered(values), protocol, map: values.map, value: values.value };
      }
      case "policy":
        return this.policy(this.values(protocol));
      case "dovecot-auth": {
        const values = this.values(protocol);
        this.checkHost(values.host, "passwords", ["host"]);
        const { host, "limits.log": loginRecords } = values;
        return { ...this.common(values), ...answered(values), protocol, host, loginRecords };
      }
      case "smtp":
      case "lmtp":
        return await this.gateway(protocol, this.values(protocol));
      case "http":
        return await this.http(this.values(protocol));
      case "control":
        return await this.control(this.values(protocol));
    }
  }

  private values<P extends ServeProtocol>(_protocol: P): Values<P> {
    // The table was read by this protocol's own schema.
    return this.reading.values as unknown as Values<P>;
  }

  private common(values: Omit<Values<"http">, "addresses" | "token-file">) {
    return {
      name: this.name,
      listen: parseListenAddress(values.listen ?? "") ?? { kind: "tcp" as const, host: "127.0.0.1", port: 0 },
      mode: Number.parseInt(values.mode, 8),
      clients: values["limits.clients"],
      idleMs: values["limits.idle"],
    };
  }

  private async http(values: Values<"http">): Promise<HttpSettings> {
    const common = this.common(values);
    const file = values["token-file"];
    if (file !== undefined && !isLocal(common.listen)) {
      this.add(["token-file"], "needs a unix socket or loopback in listen: the token would cross the network in clear");
    }
    return { ...common, protocol: "http", addresses: values.addresses, ...(await this.token(file)) };
  }

  private async control(values: Values<"control">): Promise<ControlSettings> {
    const common = this.common(values);
    const file = values["token-file"];
    if (!isLocal(common.listen)) {
      this.add(["listen"], "must be a unix socket or on loopback: who controls the daemon is on its machine");
    } else if (common.listen.kind === "tcp" && file === undefined) {
      this.add(["token-file"], "is required on a port, which every user of the machine can reach");
    }
    return { ...common, protocol: "control", addresses: values.addresses, ...(await this.token(file)) };
  }

  private async token(file: string | undefined): Promise<{ tokenDigest?: string }> {
    const token = file === undefined ? undefined : await this.readToken(file);
    return token === undefined ? {} : { tokenDigest: digestOf(token).toString("hex") };
  }

  private async readToken(file: string): Promise<string | undefined> {
    try {
      const token = (await readFile(resolve(this.around.directory, file), "utf8")).trim();
      if (token.length < LEAST_TOKEN) {
        this.add(["token-file"], `holds a token of fewer than ${LEAST_TOKEN} characters`);
      }
      return token;
    } catch (error) {
      this.add(["token-file"], `cannot be read: ${(error as NodeJS.ErrnoException).code}`);
      return undefined;
    }
  }

  private policy(values: Values<"policy">): PolicySettings {
    const { host, rule, action, reject } = values;
    const asked = (["host", "rule", "action"] as const).filter((key) => this.reading.given.has(key));
    if (asked.length !== 1) {
      this.add([asked[1] ?? "host"], "exactly one of host, rule and action must be there");
    }
    if (host !== undefined) {
      this.checkHost(host, "recipients", ["host"]);
    }
    if (rule !== undefined && !this.around.ruleNames.has(rule)) {
      this.add(["rule"], "there is no such [rule.<name>]");
    }
    if (action !== undefined && reject !== undefined) {
      this.add(["reject"], "has no meaning beside action");
    }
    return {
      ...this.common(values),
      ...answered(values),
      protocol: "policy",
      lineOctets: values["limits.line"],
      ask:
        host !== undefined
          ? { kind: "host", id: host }
          : rule !== undefined
            ? { kind: "rule", name: rule }
            : { kind: "action", action: this.ruled("action", action ?? "DUNNO") },
      ...(reject === undefined ? {} : { reject }),
    };
  }

  private async gateway(protocol: "smtp" | "lmtp", values: Values<"smtp">): Promise<GatewaySettings> {
    this.checkDestinations(values.host);
    const tls = await this.tls(values);
    const authHost = values["auth.host"];
    const allowPlaintext = values["auth.allow-plaintext"];
    if (authHost !== undefined) {
      this.checkHost(authHost, "passwords", ["auth", "host"]);
      if (!this.reading.given.has("tls.cert") && !allowPlaintext) {
        this.add(
          ["auth", "host"],
          "needs tls.cert and tls.key, or allow-plaintext = true: passwords would be readable",
        );
      }
    } else if (values["auth.require"]) {
      this.add(["auth", "require"], "needs auth.host beside it");
    }
    return {
      ...this.common(values),
      protocol,
      host: this.ruled("host", values.host ?? ""),
      ...(values.verify === undefined ? {} : { verify: this.ruled("verify", values.verify) }),
      ...(values.tenant === undefined ? {} : { tenant: values.tenant }),
      hostname: values.hostname ?? this.around.hostname,
      timeoutMs: values.timeout,
      ...(tls === undefined ? {} : { tls }),
      ...(authHost === undefined
        ? {}
        : { auth: { host: authHost, isRequired: values["auth.require"], allowPlaintext } }),
      ...proxied(values),
      messageOctets: values["limits.message"],
      recipients: values["limits.recipients"],
      lineOctets: values["limits.line"],
      loginRecords: values["limits.log"],
    };
  }

  private async tls(values: Values<"smtp">): Promise<GatewaySettings["tls"]> {
    if (values["tls.implicit"] && !this.reading.given.has("tls.cert")) {
      this.add(["tls", "implicit"], "needs tls.cert and tls.key");
    }
    const { directory, problems } = this.around;
    const { cert, key } = await readKeyPair({ reading: this.reading, path: this.path, directory, problems });
    if (cert === undefined || key === undefined) {
      return undefined;
    }
    const minVersion = values["tls.min-version"] === "1.3" ? "TLSv1.3" : "TLSv1.2";
    return { implicit: values["tls.implicit"], cert, key, minVersion };
  }

  /** Every host that `host` may come to. */
  private checkDestinations(value: string | readonly unknown[] | undefined): void {
    if (!Array.isArray(value)) {
      return this.checkDestination(value, ["host"]);
    }
    value.forEach((branch: unknown, index) => {
      if (typeof branch !== "object" || branch === null) {
        return;
      }
      for (const key of ["then", "else"] as const) {
        const to = (branch as Record<string, unknown>)[key];
        this.checkDestination(to, ["host", index, key]);
      }
    });
  }

  private checkDestination(to: unknown, path: readonly (string | number)[]): void {
    // A value of another type is a problem already.
    if (typeof to === "string" && !to.includes(" ")) {
      this.checkHost(to, "mail", path);
    }
  }

  private checkHost(id: string | undefined, purpose: keyof typeof PURPOSES, path: readonly (string | number)[]): void {
    if (id === undefined) {
      return;
    }
    const host = this.around.hosts.get(id);
    const { protocols, needsLookup, what } = PURPOSES[purpose];
    if (host === undefined) {
      this.add(path, "there is no remote host of that id");
    } else if (!protocols.some((known) => known === host.protocol)) {
      this.add(path, `must be the id of ${what}`);
    } else if (needsLookup && !host.lookup) {
      this.add(path, "that host can only be asked with lookup = true");
    }
  }

  private ruled<Value>(key: string, value: Value | readonly unknown[]): Ruled<Value> {
    if (Array.isArray(value)) {
      return { kind: "rules", path: [...this.path, key] };
    }
    return { kind: "plain", value: value as Value };
  }

  private add(path: readonly (string | number)[], message: string): void {
    this.around.problems.add([...this.path, ...path], message);
  }
}

function answered(values: Values<"socketmap"> | Values<"policy"> | Values<"tcp-table"> | Values<"dovecot-auth">) {
  return {
    timeoutMs: values.timeout,
    pipeline: values["limits.pipeline"],
    requestOctets: values["limits.request"],
    ...proxied(values),
  };
}

function proxied(values: { readonly "proxy-from": readonly unknown[] | undefined }): { proxyFrom: IpRange[] } {
  const ranges = (values["proxy-from"] ?? []).map((text) => parseIpRange(String(text)));
  return { proxyFrom: ranges.filter((range) => range !== undefined) };
}
