/** `relaypost/testing`: scripted and well-behaved servers for gateways to test themselves with. Public surface, nothing else. */
export { type Certificate, type CertificateKind, type CertificateOptions, makeCertificate } from "./certificates.js";
export type { ImapSessionOptions } from "./imap-options.js";
export type { Ledger, LedgerConnection, LedgerDetail, LedgerRecipient, LedgerTransaction } from "./ledger.js";
export type { Capabilities, MailSessionOptions } from "./mail-options.js";
export {
  listenImap,
  listenMail,
  type StrictServer,
  type StrictService,
  strictImapService,
  strictMailService,
} from "./mail-server.js";
export type { Order, OrderAction, OrderStage } from "./orders.js";
export { ScriptError, type ScriptedPeer, type TlsOptions } from "./peer.js";
export type { SaslAccounts } from "./sasl-server.js";
export { inTurn, type ListenOptions, play, type Script, ScriptedServer } from "./scripted-server.js";
export * from "./steps.js";
export { SynBlackHole } from "./syn-black-hole.js";
