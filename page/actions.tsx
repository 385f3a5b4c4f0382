/** What may be done with a host, for whoever has the token: pause, resume, reconnect, forget. Shown behind a row, by host-panel.tsx. */
import { createContext } from "preact";
import { useContext, useState } from "preact/hooks";
import type { HostReport } from "../src/operator/report.js";

/** The token, as it was typed in; it is kept nowhere else, and gone with the page. */
export const Token = createContext<{ readonly token: string; readonly set: (token: string) => void }>({
  token: "",
  set: () => {},
});

const SPANS = [
  { name: "10 minutes", forMs: 600_000 },
  { name: "an hour", forMs: 3_600_000 },
  { name: "until it is resumed", forMs: undefined },
] as const;

/** What the gateway said of the last action. */
interface Said {
  readonly text: string;
  readonly isGood: boolean;
}

async function act(token: string, asked: object): Promise<Said> {
  try {
    const response = await fetch("act", {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify(asked),
    });
    const { done, error } = (await response.json()) as { done?: string; error?: string };
    return { text: done ?? error ?? `status ${response.status}`, isGood: response.ok };
  } catch {
    return { text: "The gateway did not answer.", isGood: false };
  }
}

export function Actions({ host }: { host: HostReport }) {
  const { token, set } = useContext(Token);
  const [said, say] = useState<Said>();
  const [isBusy, setBusy] = useState(false);
  const send = async (asked: object): Promise<void> => {
    setBusy(true);
    say(await act(token, { ...asked, id: host.id }));
    setBusy(false);
  };
  const isDisabled = isBusy || token === "";
  return (
    <section class="actions">
      <h4>Actions</h4>
      <label>
        Token
        <input
          type="password"
          autocomplete="off"
          value={token}
          onInput={(event) => set(event.currentTarget.value)}
          placeholder="of the listener's token-file"
        />
      </label>
      {host.diagnosis.cause === "paused" ? (
        <button type="button" disabled={isDisabled} onClick={() => send({ action: "resume" })}>
          Resume
        </button>
      ) : (
        <Pause isDisabled={isDisabled} send={send} />
      )}
      <button type="button" disabled={isDisabled} onClick={() => send({ action: "reconnect" })}>
        Reconnect
      </button>
      <Forget isDisabled={isDisabled} send={send} />
      <p class={`said ${said?.isGood === false ? "lost" : ""}`} role="status">
        {said?.text}
      </p>
    </section>
  );
}

interface ActionProps {
  readonly isDisabled: boolean;
  readonly send: (asked: object) => void;
}

function Pause({ isDisabled, send }: ActionProps) {
  const [span, setSpan] = useState(0);
  const [requests, setRequests] = useState<"wait" | "refuse">("wait");
  return (
    <fieldset>
      <legend class="unseen">Pause</legend>
      <button
        type="button"
        disabled={isDisabled}
        onClick={() => send({ action: "pause", requests, forMs: SPANS[span]?.forMs })}
      >
        Pause
      </button>
      <label>
        for
        <select value={span} onChange={(event) => setSpan(Number(event.currentTarget.value))}>
          {SPANS.map(({ name }, at) => (
            <option key={name} value={at}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        requests
        <select
          value={requests}
          onChange={(event) => setRequests(event.currentTarget.value === "refuse" ? "refuse" : "wait")}
        >
          <option value="wait">wait</option>
          <option value="refuse">are refused</option>
        </select>
      </label>
    </fieldset>
  );
}

function Forget({ isDisabled, send }: ActionProps) {
  const [about, setAbout] = useState<"all" | "recipient" | "username">("recipient");
  const [value, setValue] = useState("");
  const isWhole = about === "all" || value !== "";
  return (
    <fieldset>
      <legend class="unseen">Forget cached answers</legend>
      <button
        type="button"
        disabled={isDisabled || !isWhole}
        onClick={() => send({ action: "forget", ...(about === "all" ? {} : { [about]: value }) })}
      >
        Forget
      </button>
      <label>
        answers about
        <select
          value={about}
          onChange={(event) => setAbout(event.currentTarget.value as "all" | "recipient" | "username")}
        >
          <option value="recipient">the recipient</option>
          <option value="username">the user</option>
          <option value="all">everything</option>
        </select>
      </label>
      {about !== "all" && (
        <input
          aria-label={about === "recipient" ? "Recipient" : "User"}
          value={value}
          onInput={(event) => setValue(event.currentTarget.value)}
        />
      )}
    </fieldset>
  );
}
