/** check, probe and doctor on a host whose addresses are in SRV records: each of them is examined, and what is said where there are none. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { listenMail } from "../../src/testing/index.js";
import { DnsServer } from "../kit/dns-server.js";
import { jsonLines, relaypost, Site } from "./command-line.js";

interface Line {
  readonly address: string;
  readonly port?: number;
  readonly greeting?: string;
  readonly failure?: { readonly code: string; readonly message: string };
  readonly findings?: readonly { readonly severity: string; readonly message: string }[];
}

it("the commands examine each address that SRV records name", { timeout: 120_000 }, async () => {
  await using site = await Site.open();
  await using dns = await DnsServer.listen();
  await using first = await listenMail({ protocol: "lmtp" });
  await using second = await listenMail({ protocol: "lmtp" });
  const file = await site.write(
    "service.toml",
    `[runtime]\nhostname = "gateway.example.net"\ndns-servers = ["${dns.place}"]\n[remote.it]\naddress = "srv:_lmtp._tcp.example.org"
protocol = "lmtp"\ntls = { implicit = false, starttls = "disable" }\n`,
  );
  const checked = await relaypost(["check", file]);
  assert.equal(checked.code, 0, checked.stderr);
  assert.match(checked.stdout, /srv:_lmtp\._tcp\.example\.org/);
  assert.equal(dns.asked.length, 0);
  dns.serve([
    { target: "localhost", port: second.port, priority: 2 },
    { target: "localhost", port: first.port, priority: 1 },
  ]);
  for (const command of ["probe", "doctor"]) {
    const ran = await relaypost([command, file, "it", "--json"]);
    const lines = jsonLines<Line>(ran);
    assert.equal(ran.code, 0, ran.stdout + ran.stderr);
    assert.deepEqual(
      lines.map(({ address, port, greeting }) => [address, port, greeting?.startsWith("220")]),
      [
        ["localhost", first.port, true],
        ["localhost", second.port, true],
      ],
    );
  }
  dns.serve([]);
  const probed = await relaypost(["probe", file, "it", "--json"]);
  const [report] = jsonLines<Line>(probed);
  assert.equal(probed.code, 75);
  assert.deepEqual([report?.address, report?.port], ["srv:_lmtp._tcp.example.org", undefined]);
  assert.equal(report?.failure?.code, "DNS_FAILED");
  const words = await relaypost(["probe", file, "it"]);
  assert.match(words.stdout, /^host +it: lmtp to srv:_lmtp\._tcp\.example\.org$/m);
  const examined = await relaypost(["doctor", file, "it", "--json"]);
  assert.equal(examined.code, 1);
  const [{ findings = [] } = {}] = jsonLines<Line>(examined);
  assert.ok(findings.some(({ message }) => /DNS_FAILED: .* there are no such records/.test(message)));
});
