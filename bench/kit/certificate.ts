/** One self-signed certificate for the sinks that speak TLS; contenders do not verify it. */
import { generate } from "selfsigned";

/** PEM texts. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** A fresh certificate for localhost. */
export async function makeCertificate(): Promise<Certificate> {
  const pems = await generate([{ name: "commonName", value: "localhost" }], { keyType: "ec", curve: "P-256" });
  return { key: pems.private, cert: pems.cert };
}
