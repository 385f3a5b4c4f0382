/** The library's public face. */
import type { Content, Credentials, Envelope, LookupAnswer, RelayResult } from "../../../src/api.js";
import * as library from "../../../src/index.js";

interface Host {
  relay(envelope: Envelope, content: Content): Promise<RelayResult>;
  verifyRecipient(address: string): Promise<LookupAnswer>;
  authenticate(credentials: Credentials): Promise<LookupAnswer>;
}

interface Hosts extends AsyncDisposable {
  host(id: string): Host;
}

export const { RemoteHosts } = library as unknown as { RemoteHosts: { open(source: object): Promise<Hosts> } };
