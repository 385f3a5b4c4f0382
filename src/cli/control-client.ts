/** The other end of a `control` listener, or of a page's reports: JSON over HTTP on a unix socket or a URL. Serves ctl.ts and top.ts. */
import { readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { userInfo } from "node:os";
import { createInterface } from "node:readline";
import type { HostReport } from "../operator/report.js";
import { UsageError } from "./exit-codes.js";

/** Where a daemon is asked. */
export interface ControlPlace {
  /** A path of a unix socket (`unix:/run/x` too), or `http://127.0.0.1:10040`. */
  readonly at: string;
  readonly tokenFile?: string | undefined;
}

/** The daemon said no. */
export class ControlError extends Error {}

/** Asks a verb; one value after the other, as they come. */
export async function* ask(
  place: ControlPlace,
  verb: string,
  asked: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): AsyncGenerator<unknown> {
  const body = JSON.stringify({ ...asked, by: userInfo().username });
  const response = await send(place, `/${verb}`, "POST", body, signal);
  if (response.statusCode !== 200) {
    throw new ControlError(await refusalOf(response));
  }
  for await (const line of createInterface({ input: response })) {
    yield JSON.parse(line);
  }
}

/** All hosts at a glance: of a control listener, or of the page of an `http` listener. */
export async function fetchReports(place: ControlPlace, signal: AbortSignal): Promise<HostReport[]> {
  if (isPage(place)) {
    const response = await send(place, "/reports", "GET", "", signal);
    if (response.statusCode !== 200) {
      throw new ControlError(await refusalOf(response));
    }
    return (JSON.parse(await textOf(response)) as { hosts: HostReport[] }).hosts;
  }
  const hosts: HostReport[] = [];
  for await (const host of ask(place, "hosts", {}, signal)) {
    hosts.push(host as HostReport);
  }
  return hosts;
}

/** Whoever has a token means a control listener; a URL without one is a page. */
function isPage({ at, tokenFile }: ControlPlace): boolean {
  return /^https?:/.test(at) && tokenFile === undefined;
}

async function send(
  { at, tokenFile }: ControlPlace,
  path: string,
  method: string,
  body: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const token = tokenFile === undefined ? {} : { authorization: `Bearer ${readFileSync(tokenFile, "utf8").trim()}` };
  const headers = { ...token, ...(body === "" ? {} : { "content-type": "application/json" }) };
  const options = { method, headers, signal };
  const url = /^https?:/.test(at) ? new URL(at) : undefined;
  if (url?.protocol === "https:") {
    throw new UsageError("a control listener and its page speak http, on this machine");
  }
  const outgoing =
    url === undefined
      ? request({ ...options, socketPath: at.replace(/^unix:/, ""), path })
      : request(new URL(path.slice(1), url.href.endsWith("/") ? url : `${url.href}/`), options);
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", resolve);
    outgoing.once("error", (error: NodeJS.ErrnoException) => {
      reject(signal.aborted ? error : new ControlError(`${at} cannot be asked: ${reasonOf(error)}`));
    });
  });
  outgoing.end(body);
  return await response;
}

/** What to do about it, where that is known. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket. Is the daemon running, with a control listener?",
  ECONNREFUSED: "nobody listens there. Is the daemon running, with a control listener?",
  EACCES: "this user may not open the socket. Its owner may, who is the daemon's user, and so may root.",
  ENOTSOCK: "it is no socket.",
};

function reasonOf({ code = "", message }: NodeJS.ErrnoException): string {
  const reason = REASONS[code];
  return reason === undefined ? code || message : `${code}, ${reason}`;
}

async function refusalOf(response: IncomingMessage): Promise<string> {
  const text = await textOf(response);
  try {
    const { error } = JSON.parse(text) as { error: { message: string } };
    return error.message;
  } catch {
    return `${response.statusCode}: ${text.trim().slice(0, 200)}`;
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response) {
    text += chunk;
  }
  return text;
}
