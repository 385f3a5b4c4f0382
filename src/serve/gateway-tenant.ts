/** Whose a message is that comes through the gateway (`serve.<name>.tenant`). Serves mail-transactions.ts. */
import type { SMTPServerSession } from "smtp-server";
import type { RequestOptions } from "../api.js";
import type { GatewaySettings } from "./settings.js";

const MAX_OCTETS = 255;

/** Nothing where it is nobody's: the settings do not say, the user has not logged in, the reverse-path is null, or it is no name of a tenant. */
export function tenantOf(settings: GatewaySettings, session: SMTPServerSession): Pick<RequestOptions, "tenant"> {
  const tenant = nameOf(settings, session);
  const isName = tenant !== "" && Buffer.byteLength(tenant) <= MAX_OCTETS && !/\p{Cc}/u.test(tenant);
  return isName ? { tenant } : {};
}

function nameOf({ tenant, name }: GatewaySettings, { user, envelope }: SMTPServerSession): string {
  switch (tenant) {
    case "listener":
      return name;
    case "authenticated-as":
      return typeof user === "string" ? user : "";
    case "sender-domain": {
      const address = envelope.mailFrom === false ? "" : envelope.mailFrom.address;
      return address.slice(address.lastIndexOf("@") + 1).toLowerCase();
    }
    default:
      return "";
  }
}
