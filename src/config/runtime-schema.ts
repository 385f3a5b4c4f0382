/** Every key of `runtime`. Serves load.ts and the docs. */
import { isDnsServer, isEhloName } from "./host-name.js";
import { count, MOST_TIMER_MS, type Schema, timeout } from "./key-spec.js";

/** The keys of `runtime`. */
export const RUNTIME_SCHEMA = {
  hostname: {
    kind: "text",
    fallbackName: "the machine's, where it is fully qualified",
    check: { isRight: isEhloName, form: 'a host name, or an address literal such as "[192.0.2.1]"' },
    meaning: "Name sent in EHLO and LHLO. Without one, the address that the connection comes from is sent.",
  },
  threads: count(64, 1, 1024, "Maximum number of worker threads. If there are more hosts, hosts share threads."),
  start: {
    kind: "choice",
    choices: ["lazy", "eager"],
    fallback: "lazy",
    meaning:
      "When worker threads are started. `lazy`: a thread with the first request to one of its hosts, which waits about 50 ms for it; those with a `cache.file` by `open()`, which does not wait for them. `eager`: all of them by `open()`, which fails where none can be started.",
  },
  idle: {
    kind: "duration",
    least: 1_000,
    most: MOST_TIMER_MS,
    fallbackName: "never",
    meaning:
      "A thread whose hosts had no request for so long is given back, with its connections and the cached answers that are in no `cache.file`. The next request starts another one, whose counters begin at 0.",
  },
  heartbeat: {
    kind: "duration",
    fallback: "2s",
    least: 100,
    most: MOST_TIMER_MS,
    meaning: "A worker that has work to do and gives no sign of life for so long is replaced.",
  },
  memory: {
    kind: "size",
    fallback: "1GiB",
    least: 2 ** 25,
    most: 2 ** 40,
    meaning:
      "A worker whose heap (caches, queues; not the contents of messages) grows beyond this is replaced, instead of taking the gateway down. At least 32 MiB.",
  },
  restarts: count(
    3,
    0,
    1_000_000,
    "How often a worker is replaced within `restart-window`. After one more crash its hosts have failed. A lookup is retried one time fewer.",
  ),
  "restart-window": timeout("60s", "Time in which `restarts` are counted."),
  "dns-servers": {
    kind: "texts",
    fallbackName: "those of the system",
    check: { isRight: isDnsServer, form: 'IP addresses, with or without a port, such as ["127.0.0.1:8600"]' },
    meaning:
      'DNS servers that are asked for SRV records (`address = "srv:…"`): IP addresses, with or without a port; at most three are asked. Other names are resolved by the system.',
  },
} as const satisfies Schema;
