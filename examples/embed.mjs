import { RemoteHosts } from "relaypost";
import { listenMail } from "relaypost/testing"; // a server to talk to, so that this file runs as it is

const server = await listenMail({ protocol: "lmtp", recipients: ["anna@example.org"] });
const { address, port } = server;
const tls = { implicit: false, starttls: "disable" };
// In a gateway: RemoteHosts.open("remotes.toml")
const remotes = await RemoteHosts.open({ remote: { store: { address, port, protocol: "lmtp", lookup: true, tls } } });
const store = remotes.host("store");

const { found } = await store.verifyRecipient("eve@example.org"); // RCPT TO; from the cache next time
console.log(`eve ${found ? "exists" : "does not exist"}`);

const message = "Subject: hello\n\nHello Anna.\n";
const { recipients } = await store.relay({ from: "bo@example.net", to: "anna@example.org" }, message);
for (const { address, status, reply } of recipients) {
  console.log(address, status, reply?.text);
}

await remotes.close();
await server.close();
