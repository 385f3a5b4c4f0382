/** The servers' process: four houses and the ledger, away from the driver, whose memory and speed are what is measured. Started by `servers.ts`. */
import { makeCertificate } from "../../src/testing/index.js";
import { HOSTS } from "./hosts.js";
import { House } from "./house.js";
import { ChaosLedger } from "./ledger.js";
import type { Question, ServersReady } from "./servers.js";

process.on("disconnect", () => process.exit());
process.on("uncaughtException", (error) => {
  console.error("the servers' process:", error);
  process.exit(1);
});

const ledger = new ChaosLedger();
const certificate = await makeCertificate({ kind: "own-ca" });
const houses = new Map<string, House>();
for (const host of HOSTS) {
  houses.set(host.id, await House.build(host, ledger, certificate));
}

process.on("message", (question: Question) => {
  process.send?.({ number: question.number, value: answer(question) });
});
const ports = Object.fromEntries([...houses].map(([id, { port }]) => [id, port]));
process.send?.({ ports, ca: certificate.ca } satisfies ServersReady);

function answer(question: Question): unknown {
  switch (question.kind) {
    case "mischief":
      return houses.get(question.host)?.begin(question.mischief);
    case "calm":
      for (const house of houses.values()) {
        house.calm();
      }
      return undefined;
    case "settle":
      return ledger.settle(Buffer.from(question.batch));
    case "second client":
      for (const house of houses.values()) {
        house.hasSecondClient = true;
      }
      return undefined;
    case "standing":
      return houses.get(question.host)?.standing;
    case "judge":
      return {
        verdict: ledger.judge(question.count),
        peaks: Object.fromEntries([...houses].map(([id, { peak }]) => [id, peak])),
      };
  }
}
