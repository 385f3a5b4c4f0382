/** Whose a message is that comes through the gateway: by its settings, its session, and what is no name of a tenant. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SMTPServerSession } from "smtp-server";
import { tenantOf } from "../../../src/serve/gateway-tenant.js";
import type { GatewaySettings } from "../../../src/serve/settings.js";

/** @param sender the reverse-path; undefined before MAIL */
function tenant(by: GatewaySettings["tenant"], user?: string, sender?: string): string | undefined {
  const settings = { name: "submission", tenant: by } as GatewaySettings;
  const mailFrom = sender === undefined ? false : { address: sender };
  return tenantOf(settings, { user, envelope: { mailFrom } } as SMTPServerSession).tenant;
}

describe("the tenant of a gateway's message", () => {
  it("is the listener, the user or the sender's domain, as the settings say", () => {
    assert.equal(tenant("listener", "ann", "me@example.org"), "submission");
    assert.equal(tenant("authenticated-as", "ann", "me@example.org"), "ann");
    assert.equal(tenant("sender-domain", "ann", "me@Example.ORG"), "example.org");
  });

  it("is nobody where the settings do not say, nobody logged in, or the reverse-path is null", () => {
    assert.equal(tenant(undefined, "ann", "me@example.org"), undefined);
    assert.equal(tenant("authenticated-as", undefined, "me@example.org"), undefined);
    assert.equal(tenant("sender-domain", "ann", ""), undefined);
    assert.equal(tenant("sender-domain", "ann"), undefined);
  });

  it("is nobody where a request would be refused for its name", () => {
    assert.equal(tenant("authenticated-as", "é".repeat(127)), "é".repeat(127));
    assert.equal(tenant("authenticated-as", "é".repeat(128)), undefined);
    assert.equal(tenant("authenticated-as", "ann\tb"), undefined);
    assert.equal(tenant("sender-domain", undefined, "me@a\u0001b"), undefined);
  });
});
