/**
 * One worker thread from its start to its end: piscina runs it with one endless task, whose end is the death-watch; comlink carries
 * the control calls, each of which is raced against the thread's end and a time limit. Owned by supervisor.ts.
 */
import { MessageChannel, type MessagePort, type ResourceLimits, type Worker } from "node:worker_threads";
import { type Endpoint, type Remote, wrap } from "comlink";
import { Piscina } from "piscina";
import type { HostSettings } from "../config/settings.js";
import { type Failure, RelaypostError } from "../errors.js";
import type { WorkerControl, WorkerStart } from "../messages/control.js";
import { Timer, type TimerWheel } from "../timer-wheel.js";
import { LOST } from "./supervisor-context.js";

/** What a thread is started with. */
export interface ThreadOptions extends Pick<WorkerStart, "memory" | "isEndless" | "logLevel"> {
  /** The worker's entry: a module whose default export runs a {@link WorkerStart}. */
  readonly entry: URL;
  /** What its heap may take at most. */
  readonly heap: ResourceLimits;
  readonly wheel: TimerWheel;
}

/** What can be called over there. */
export type ThreadControl = Remote<WorkerControl>;

/** What a thread tells its supervisor. */
export interface ThreadOwner {
  /** It is gone, or as good as gone. Each who notices says so; the first one counts. */
  lost(thread: WorkerThread, cause: unknown): void;
  /** A control call waits for its answer. */
  called(): void;
}

export class WorkerThread {
  /** Requests out, answers in. */
  readonly dataPort: MessagePort;
  readonly exited: Promise<void>;
  /** What its actors know: host numbers and settings. */
  readonly known = new Map<number, HostSettings>();
  /** Which of them it was told to pause. */
  readonly paused = new Set<number>();

  private readonly pool: Piscina;
  private readonly control: ThreadControl;
  private readonly controlPort: MessagePort;
  private readonly calls = new Set<(error: RelaypostError) => void>();
  private readonly wheel: TimerWheel;
  private isEnded = false;

  constructor(
    options: ThreadOptions,
    private readonly owner: ThreadOwner,
  ) {
    const { entry, heap, wheel, memory, isEndless, logLevel } = options;
    this.wheel = wheel;
    this.pool = new Piscina({
      filename: entry.href,
      minThreads: 1,
      maxThreads: 1,
      atomics: "disabled",
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
      // A secret of the gateway's environment is nothing that a worker has to hold.
      env: {},
      resourceLimits: heap,
    });
    this.pool.on("error", ignore);
    const data = new MessageChannel();
    const control = new MessageChannel();
    const start: WorkerStart = { data: data.port2, control: control.port2, memory, isEndless, logLevel };
    const task = this.pool.run(start, { transferList: [data.port2, control.port2] });
    const worker = this.pool.threads[0]!;
    this.dataPort = data.port1;
    this.controlPort = control.port1;
    this.control = wrap<WorkerControl>(control.port1 as unknown as Endpoint);
    control.port1.unref();
    this.exited = new Promise((resolve) => worker.once("exit", () => resolve()));
    this.watch(worker, task);
  }

  /** A control call waits for its answer. */
  get isCalled(): boolean {
    return this.calls.size > 0;
  }

  /** A control call: answered, or rejected when the thread is lost or takes longer than `limitMs`, for which it counts as lost. */
  call<T>(invoke: (control: ThreadControl) => Promise<T>, limitMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const { wheel, calls } = this;
      const timer = new Timer(() => this.owner.lost(this, new Error("a control call was not answered in time")));
      const settle = (): void => {
        wheel.clear(timer);
        calls.delete(fail);
        if (calls.size === 0) {
          this.controlPort.unref();
        }
      };
      const fail = (error: RelaypostError): void => {
        settle();
        reject(error);
      };
      if (this.isEnded) {
        reject(RelaypostError.from(LOST));
        return;
      }
      calls.add(fail);
      this.controlPort.ref();
      wheel.set(timer, limitMs);
      this.owner.called();
      invoke(this.control).then((value) => {
        settle();
        resolve(value);
      }, fail);
    });
  }

  /** Lets go of it, whatever state it is in; the calls that wait are rejected with `failure`. */
  end(failure: Failure): void {
    this.isEnded = true;
    for (const fail of [...this.calls]) {
      fail(RelaypostError.from(failure));
    }
    this.controlPort.close();
    this.dataPort.close();
    void this.pool.destroy().catch(ignore);
  }

  /** The task that never ends, and where it has none, the thread itself. */
  private watch(worker: Worker, task: Promise<unknown>): void {
    const lost = (error: unknown): void => this.owner.lost(this, error);
    task.catch(lost);
    // Before piscina hears of it: it would start another thread by itself, and at once.
    worker.prependOnceListener("error", lost);
    worker.prependOnceListener("exit", (code) => lost(new Error(`the thread ended with code ${code}`)));
  }
}

function ignore(): void {}
