import { RemoteHosts } from "relaypost";
import { listenMail } from "relaypost/testing";

// A server to talk to, so that this file runs as it is. In a gateway: RemoteHosts.open("remotes.toml").
const server = await listenMail({ protocol: "lmtp", recipients: ["anna@example.org"] });
const remotes = await RemoteHosts.open({
  remote: {
    store: {
      address: server.address,
      port: server.port,
      protocol: "lmtp",
      lookup: true,
      tls: { implicit: false, starttls: "disable" },
    },
  },
});
const store = remotes.host("store");

const { found } = await store.verifyRecipient("eve@example.org"); // RCPT TO, answered from the cache next time
console.log(`eve ${found ? "exists" : "does not exist"}`);

const { recipients } = await store.relay(
  { from: "bo@example.net", to: "anna@example.org" },
  "Subject: hello\n\nHello Anna.\n",
);
for (const { address, status, reply } of recipients) console.log(address, status, reply?.text);

await remotes.close();
await server.close();
