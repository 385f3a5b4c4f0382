// What the gateway of rules.toml says to a few recipients: node examples/rules/rcpt.mjs
// The mailbox server is made up here; a gateway passes what RemoteHosts.open() gave it.
import { RuleSet } from "relaypost";

const mailboxes = {
  ids: ["mailboxes"],
  async inList(_list, address) {
    if (address.endsWith("@example.com")) {
      throw new Error("the mailbox server does not answer");
    }
    return address === "bill@example.org";
  },
};

const rules = await RuleSet.open(new URL("rules.toml", import.meta.url), mailboxes);

const envelopes = [
  { rcpt: "bill@example.org", sender: "jane@elsewhere.example", "remote-ip": "203.0.113.9" },
  { rcpt: "nobody@example.net", sender: "jane@elsewhere.example", "remote-ip": "203.0.113.9" },
  { rcpt: "jane@elsewhere.example", sender: "bill@example.org", "remote-ip": "192.0.2.17" },
  { rcpt: "jane@elsewhere.example", sender: "x@spam.example", "remote-ip": "203.0.113.9" },
  { rcpt: "bill@example.org", sender: "boss@example.org", "remote-ip": "203.0.113.9" },
  { rcpt: "postmaster@example.com", sender: "", "remote-ip": "203.0.113.9" },
  { rcpt: "bill@example.com", sender: "", "remote-ip": "203.0.113.9" },
];

for (const envelope of envelopes) {
  const { sender, rcpt } = envelope;
  let action;
  try {
    action = await rules.value("session.rcpt.action", envelope);
  } catch (error) {
    if (error.code !== "RULE_FAILED") {
      throw error;
    }
    action = "451 4.3.0 Try again later"; // never a refusal: nobody said that there is no such mailbox
  }
  console.log(`MAIL FROM:<${sender}> RCPT TO:<${rcpt}>`.padEnd(72), action);
}
