// One gateway of the example: relays without a pause, and tells its parent what it has.
import { RemoteHosts } from "relaypost";

process.once("message", async (config) => {
  const remotes = await RemoteHosts.open(config);
  const store = remotes.host("store");
  let delivered = 0;
  const relayForEver = async () => {
    for (;;) {
      await store.relay({ from: "bo@example.net", to: "anna@example.org" }, "Subject: hello\n\nHello Anna.\n");
      delivered++;
    }
  };
  for (let parallel = 0; parallel < 20; parallel++) {
    relayForEver();
  }
  setInterval(async () => process.send({ places: (await remotes.stats()).hosts.store.places, delivered }), 100);
});
process.once("disconnect", () => process.exit());
