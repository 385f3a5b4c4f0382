/**
 * Asks a host about recipients, many at once, and shows what a gateway does with each kind of answer.
 *
 *     node examples/lookup.mjs remotes.toml lmtp anna@example.org eve@example.org
 */
import { RelaypostError, RemoteHosts } from "relaypost";

const [file, id, ...addresses] = process.argv.slice(2);
if (file === undefined || id === undefined || addresses.length === 0) {
  console.error("usage: node examples/lookup.mjs FILE ID ADDRESS…");
  process.exit(2);
}
const remotes = await RemoteHosts.open(file);

async function decide(address) {
  try {
    const { found, source } = await remotes.host(id).verifyRecipient(address, { timeoutMs: 10_000 });
    return found ? `250 ${address} is welcome (${source})` : `550 5.1.1 ${address} is unknown (${source})`;
  } catch (error) {
    // No definite answer is no "no": the client shall come again.
    if (error instanceof RelaypostError && error.retryable) {
      return `451 4.4.3 ${address} cannot be checked now (${error.code})`;
    }
    throw error;
  }
}

try {
  for (const line of await Promise.all(addresses.map(decide))) {
    console.log(line);
  }
} finally {
  await remotes.close();
}
