/** What the gateway tells, as state of the page: one event stream, which the browser opens again by itself. Used by app.tsx. */
import { useEffect, useState } from "preact/hooks";
import type { ConnectionsFrame, HostFrame, HostsFrame, SparksFrame } from "../src/dashboard/frames.js";

/** `waiting`: nothing has come yet; `lost`: what is shown is what was told last. */
export type LinkState = "waiting" | "live" | "lost";

export interface Live {
  readonly link: LinkState;
  readonly frame: HostsFrame | undefined;
  readonly sparks: SparksFrame;
  /** Of the host that is looked at. */
  readonly host: HostFrame | undefined;
  readonly connections: ConnectionsFrame | undefined;
}

const NOTHING: Live = { link: "waiting", frame: undefined, sparks: {}, host: undefined, connections: undefined };

/** The event stream, with the details of one host where one is chosen. */
export function useLive(hostId: string | undefined): Live {
  const [live, setLive] = useState<Live>(NOTHING);
  useEffect(() => {
    const query = hostId === undefined ? "" : `?host=${encodeURIComponent(hostId)}`;
    const source = new EventSource(`live${query}`);
    const take = (name: string, update: (data: never) => Partial<Live>): void => {
      source.addEventListener(name, (event) => {
        const data = JSON.parse((event as MessageEvent<string>).data) as never;
        setLive((before) => ({ ...before, link: "live", ...update(data) }));
      });
    };
    take("hosts", (frame: HostsFrame) => ({ frame }));
    take("sparks", (sparks: SparksFrame) => ({ sparks }));
    take("host", (host: HostFrame) => ({ host }));
    take("connections", (connections: ConnectionsFrame) => ({ connections }));
    source.addEventListener("error", () => {
      setLive((before) => ({ ...before, link: before.frame === undefined ? "waiting" : "lost" }));
    });
    return () => source.close();
  }, [hostId]);
  return live;
}

/** The host that the address bar names, and how to name another one there. */
export function useChosenHost(): [hostId: string | undefined, choose: (hostId: string | undefined) => void] {
  const [chosen, setChosen] = useState(readHash);
  useEffect(() => {
    const changed = () => setChosen(readHash());
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  const choose = (hostId: string | undefined): void => {
    const hash = hostId === undefined ? "" : `#${encodeURIComponent(hostId)}`;
    history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
    setChosen(hostId);
  };
  return [chosen, choose];
}

function readHash(): string | undefined {
  try {
    return location.hash.length > 1 ? decodeURIComponent(location.hash.slice(1)) : undefined;
  } catch {
    // Somebody cut the address in the middle of an escape.
    return undefined;
  }
}
