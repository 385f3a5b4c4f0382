/** One listener of the daemon, whatever it speaks: made from its settings. daemon.ts opens, changes and closes them. */
import { RelaypostError } from "../errors.js";
import type { RemoteHosts } from "../remote-hosts.js";
import type { RuleSet } from "../rules/rule-set.js";
import type { WriteLog } from "../runtime/log.js";
import { type AnsweringSettings, Connections } from "./connections.js";
import { ControlListener } from "./control.js";
import type { DaemonView } from "./daemon-view.js";
import { openDovecotAuth } from "./dovecot-auth.js";
import { Gateway } from "./gateway.js";
import type { HostTls } from "./host-tls.js";
import { HttpListener } from "./http.js";
import type { ListenAddress } from "./listen-address.js";
import { LogThrottle } from "./log-throttle.js";
import { LoginLog } from "./login-log.js";
import { Maps, type TellAnswer, type TellFailure } from "./maps.js";
import { PolicySession } from "./policy.js";
import type { Session } from "./session.js";
import type { ListenerSettings } from "./settings.js";
import { SocketmapSession } from "./socketmap.js";
import { TcpTableSession } from "./tcp-table.js";
import { logged } from "./wording.js";

/** What the daemon lends its listeners. */
export interface ListenerSources {
  readonly remotes: RemoteHosts;
  /** The rules as they stand now. */
  readonly rules: () => RuleSet;
  /** Whether a host has `lookup = true` now. */
  readonly canLookUp: (hostId: string) => boolean;
  readonly state: DaemonView;
  readonly log: WriteLog;
  readonly hostTls: HostTls;
  /** Whether anybody reads records of level debug. */
  readonly isDebugged: boolean;
}

/** What all of them can. */
export interface Listener {
  /** Clients now. */
  readonly count: number;
  /** Answers given so far; of a gateway, messages answered. */
  readonly answers: number;
  /** Logins refused so far; 0 where the protocol has none. */
  readonly refusedLogins: number;
  listen(): Promise<ListenAddress>;
  close(drainMs: number): Promise<void>;
}

/** Makes a listener that does not listen yet. */
export function makeListener(settings: ListenerSettings, sources: ListenerSources): Listener {
  const { remotes, rules, canLookUp, state, log, hostTls, isDebugged } = sources;
  const throttle = new LogThrottle(log, { listener: settings.name });
  const tellFailure = failureTeller(throttle, settings.protocol === "socketmap");
  const tellAnswer = isDebugged ? answerTeller(log, settings.name) : undefined;
  const logins = "loginRecords" in settings ? new LoginLog(log, settings.name, settings.loginRecords) : undefined;
  switch (settings.protocol) {
    case "smtp":
    case "lmtp":
      return new Gateway(settings, {
        remotes,
        rules,
        canLookUp,
        log,
        throttle,
        logins: logins!,
        tellFailure,
        hostTls,
        isDebugged,
      });
    case "http":
      return new HttpListener(settings, { remotes, state, throttle });
    case "control":
      return new ControlListener(settings, remotes, throttle);
    default:
      return new Connections(settings, opener(settings), throttle, logins);
  }

  function opener(of: AnsweringSettings): () => Session {
    // A policy tells of its answers itself, in its own words.
    const maps = new Maps(remotes, tellFailure, of.protocol === "policy" ? undefined : tellAnswer);
    switch (of.protocol) {
      case "socketmap":
        return () => new SocketmapSession(of, maps);
      case "tcp-table":
        return () => new TcpTableSession(of, maps);
      case "policy":
        return () => new PolicySession(of, { maps, rules, tellFailure, tellAnswer });
      case "dovecot-auth":
        return () => openDovecotAuth(of, remotes, logins!, tellFailure);
    }
  }
}

/** @param hasPermanent of the map protocols, only socketmap has a word for questions that make no sense */
function failureTeller(throttle: LogThrottle, hasPermanent: boolean): TellFailure {
  return (hostId, error, map, isPermanent) => {
    const message = logged(error instanceof Error ? error.message : String(error));
    const code = error instanceof RelaypostError ? error.code : undefined;
    const what = map === undefined ? "" : ` by ${logged(map)}`;
    const fields = map === undefined ? { code } : { code, map: logged(map) };
    if (isPermanent === true && hasPermanent) {
      throttle.warn("serve-wrong-question", `a client was told PERM${what}: ${message}`, fields, hostId);
    } else {
      throttle.warn("serve-no-answer", `a client was told to try again${what}: ${message}`, fields, hostId);
    }
  };
}

function answerTeller(log: WriteLog, listener: string): TellAnswer {
  return (question, key, answer, tookMs) => {
    const fields = { listener, question: logged(question), key: logged(key), reply: logged(answer) };
    log("debug", "serve-answer", undefined, "a question was answered", { ...fields, tookMs: Math.round(tookMs) });
  };
}
