import { Worker } from "node:worker_threads";
import { MillraceError, type MillraceErrorCode, type MillraceErrorDetails, type Reason } from "@millrace/errors";
import type { MaterializeProgress } from "./materialize-view.ts";

/** What the thread of one materialization is started with. */
export interface MaterializeThreadData {
  readonly onlineStoreUrl: string;
  readonly registryUrl: string;
  readonly eventLogUrl: string;
  readonly streamGroup: string;
  readonly topicPartitions: number;
  readonly dataRoot: string;
  readonly view: string;
  readonly fromUs: number | undefined;
  readonly toUs: number | undefined;
}

/** From the thread to the service. */
export type FromMaterializeThread =
  | { readonly type: "progress"; readonly progress: MaterializeProgress }
  | {
      readonly type: "refused";
      readonly code: MillraceErrorCode;
      readonly reason: Reason;
      readonly message: string;
      readonly details: Omit<MillraceErrorDetails, "cause">;
    };

/**
 * Materializes a view in a thread of its own, so that reading and folding history never holds up an answer.
 * Aborting stops the thread; what is folded stays, and the next call goes on from there.
 */
export async function* materializeInThread(
  data: MaterializeThreadData,
  signal: AbortSignal,
): AsyncGenerator<MaterializeProgress> {
  const entry = import.meta.url.endsWith(".ts") ? "./materialize-thread-entry.ts" : "./materialize-thread-entry.js";
  const worker = new Worker(new URL(entry, import.meta.url), { workerData: data });
  const waiting: MaterializeProgress[] = [];
  let wake = () => {};
  let isOver = false;
  let failure: unknown;
  const end = (error?: unknown) => {
    failure ??= error;
    isOver = true;
    wake();
  };
  worker.on("message", (message: FromMaterializeThread) => {
    if (message.type === "progress") waiting.push(message.progress);
    else failure = new MillraceError(message.code, message.reason, message.message, message.details);
    wake();
  });
  worker.on("error", end);
  worker.on("exit", () => end());
  const abort = () => end(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    for (;;) {
      const news = new Promise<void>((resolve) => {
        wake = resolve;
      });
      yield* waiting.splice(0);
      if (isOver) break;
      await news;
    }
    if (failure !== undefined) throw failure;
  } finally {
    signal.removeEventListener("abort", abort);
    await worker.terminate();
  }
}
