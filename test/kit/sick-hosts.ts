/**
 * For every cause that the diagnosis knows a host that is sick of it, and what everybody is told of that host. The wards make these hosts;
 * the tests of the page, `top` and `ctl` hold each ward to this table. A cause without a row does not compile.
 */
import type { DiagnosisCause } from "../../src/operator/report.js";

/** Where a host is made sick: sick-ward.ts, cluster-ward.ts, or by an operator, in the test. */
export type WardName = "ward" | "cluster" | "operator";

export interface SickHost {
  readonly id: string;
  /** What everybody who asks is told, in part: what is wrong, and the evidence. */
  readonly says: RegExp;
  readonly ward: WardName;
}

const inWard = (id: string, says: RegExp): SickHost => ({ id, says, ward: "ward" });

export const SICK_HOSTS: Readonly<Record<DiagnosisCause, SickHost>> = {
  unreachable: inWard("gone", /cannot be reached .* ECONNREFUSED/),
  "address-down": inWard("lopsided", /1 of the 2 addresses of lopsided is down.*ECONNREFUSED/),
  dns: inWard("misspelt", /The name of misspelt, mx\.nowhere\.invalid, cannot be resolved/),
  "tls-expired": inWard("stale-cert", /certificate of stale-cert has expired/),
  "tls-name": inWard("wrong-cert", /for another name than 127\.0\.0\.1/),
  "tls-unknown-ca": inWard("own-cert", /signed by nobody whom we trust/),
  "tls-failed": inWard("plain", /perhaps it speaks plain text first/),
  "tls-missing": inWard("bare", /bare offers no STARTTLS/),
  "account-refused": inWard("locked", /locked refuses our account/),
  "token-server": inWard(
    "tokenless",
    /no access token for our account at tokenless.*401 invalid_client: the secret has expired/,
  ),
  blocked: inWard("listed", /listed blocks us: .* zen\.spamhaus\.org/),
  "refused-at-greeting": inWard("closing", /turns us away.*421 shutting down/),
  protocol: inWard("web", /does not speak LMTP/),
  hung: inWard("mute", /takes connections .* and says nothing/),
  "too-many-connections": inWard("narrow", /takes fewer connections than the 10 .* Too many connections/),
  "rate-limited": inWard(
    "throttled",
    /wait for the rate that is set for it \(limits\.rate\)\.\s*[\d,]+ requests? waits?, the oldest one for .*; at most 2 a second may begin/,
  ),
  overloaded: inWard("crowded", /requests wait/),
  slow: inWard("lame", /lookups take long/),
  "worker-lost": inWard("shaky", /was lost repeatedly/),
  "worker-failed": inWard("broken", /ended too often/),
  recovering: inWard("back", /back is back/),
  idle: inWard("asleep", /Nothing is asked of asleep/),
  healthy: inWard("well", /well is healthy/),
  "waiting-for-place": {
    id: "shared",
    ward: "cluster",
    says: /wait for a place of the cluster.*this gateway has 1 place and could use \d+; 2 gateways hold 2 of 2/,
  },
  "cluster-lost": {
    id: "severed",
    ward: "cluster",
    says: /Redis does not answer this gateway, which shares severed .*calls? failed since, the last one of: .*on-loss = "share"/,
  },
  paused: { id: "asleep", ward: "operator", says: /asleep is paused\..* via serve\.control paused it/ },
};

/** The causes of a ward, in the order of the table. */
export function causesOf(ward: WardName): DiagnosisCause[] {
  return (Object.keys(SICK_HOSTS) as DiagnosisCause[]).filter((cause) => SICK_HOSTS[cause].ward === ward);
}
