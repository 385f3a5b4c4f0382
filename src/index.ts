/** The public surface, and nothing else. */
export type * from "./api.js";
export type { ConfigInput, DurationInput, HostInput, OAuth2Input, SizeInput } from "./config/input.js";
export { ConfigError, type ConfigProblem, type ErrorCode, type ErrorScope, RelaypostError } from "./errors.js";
export type { LookupKind } from "./lookup-kinds.js";
export type { LogLevel } from "./messages/host-log.js";
export type { ConnectionSight, TraceLine } from "./messages/operating.js";
export type { DisplayOptions } from "./operator/monitor.js";
export type { Diagnosis, DiagnosisCause, HostEvent, HostReport, Severity } from "./operator/report.js";
export { RemoteHost, RemoteHosts } from "./remote-hosts.js";
export type { RuleEnvelope, RuleKey } from "./rules/envelope.js";
export type { RecipientDirectory } from "./rules/evaluation.js";
export { RuleSet, type RuleSetOptions } from "./rules/rule-set.js";
export type { RuleValue } from "./rules/setting.js";
export type { By, PauseOptions, TraceOptions } from "./runtime/operations.js";
export type { ConnectTrace, LookupTrace, RelayTrace } from "./runtime/tracing.js";
export type * from "./stats.js";
