import { Worker } from "node:worker_threads";
import { MillraceError, Reason } from "@millrace/errors";
import type { AppliedPartition } from "./applied-partition.ts";
import type { IngestionSnapshot } from "./ingestion-counts.ts";
import type { FromStreamThread, StreamThreadData, ToStreamThread } from "./thread-messages.ts";

/** Thrown when definitions were applied and the stream worker of this process could not take them. */
export class StreamWorkerFailedError extends MillraceError {
  constructor(message: string) {
    super("UNAVAILABLE", Reason.STORE_UNAVAILABLE, `The stream worker could not take the definitions: ${message}`, {
      retryAfterMs: 1000,
    });
  }
}

export interface StreamThreadOptions extends StreamThreadData {
  /** Told how far partitions are, as soon as their rows are written. */
  readonly onApplied: (applied: readonly AppliedPartition[]) => void;
  readonly onCounts: (counts: IngestionSnapshot) => void;
  readonly onTrouble: (message: string) => void;
}

/** The stream worker in a thread of its own, seen from the service. */
export class StreamThread {
  readonly #options: StreamThreadOptions;
  readonly #refreshes = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  #worker: Worker | undefined;
  #isReady = false;
  #lastId = 0;

  constructor(options: StreamThreadOptions) {
    this.#options = options;
  }

  /** True once the thread reads its topics. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Runs the thread until stopped. Rejects when it fails. */
  async run(signal: AbortSignal): Promise<void> {
    const { onApplied, onCounts, onTrouble, ...data } = this.#options;
    const entry = import.meta.url.endsWith(".ts") ? "./stream-thread-entry.ts" : "./stream-thread-entry.js";
    const worker = new Worker(new URL(entry, import.meta.url), { workerData: data });
    this.#worker = worker;
    const stop = () => this.#tell({ type: "stop" });
    signal.addEventListener("abort", stop);
    worker.on("message", (message: FromStreamThread) => {
      if (message.type === "ready") this.#isReady = true;
      else if (message.type === "applied") onApplied(message.applied);
      else if (message.type === "counts") onCounts(message.counts);
      else if (message.type === "trouble") onTrouble(message.message);
      else this.#refreshed(message.id, message.error);
    });
    try {
      await new Promise<void>((resolve, reject) => {
        worker.on("error", reject);
        worker.on("exit", (code) => {
          if (signal.aborted) resolve();
          else reject(new Error(`The thread of the stream worker ended with code ${code}.`));
        });
      });
    } finally {
      signal.removeEventListener("abort", stop);
      this.#worker = undefined;
      for (const id of [...this.#refreshes.keys()]) this.#refreshed(id, "it stopped");
    }
  }

  /** Resolves when the thread has the newest definitions in force. @throws StreamWorkerFailedError */
  refresh(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#worker === undefined) {
        reject(new StreamWorkerFailedError("it is not running"));
        return;
      }
      const id = ++this.#lastId;
      this.#refreshes.set(id, { resolve, reject });
      this.#tell({ type: "refresh", id });
    });
  }

  #refreshed(id: number, error: string | undefined): void {
    const waiting = this.#refreshes.get(id);
    this.#refreshes.delete(id);
    if (error === undefined) waiting?.resolve();
    else waiting?.reject(new StreamWorkerFailedError(error));
  }

  #tell(message: ToStreamThread): void {
    this.#worker?.postMessage(message);
  }
}
