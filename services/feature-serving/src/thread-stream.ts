import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, Worker, workerData } from "node:worker_threads";
import { MillraceError, type MillraceErrorCode, type MillraceErrorDetails, type Reason } from "@millrace/errors";

type FromThread<T> =
  | { readonly type: "item"; readonly item: T }
  | {
      readonly type: "refused";
      readonly code: MillraceErrorCode;
      readonly reason: Reason;
      readonly message: string;
      readonly details: Omit<MillraceErrorDetails, "cause">;
    };

/** Items that a thread may be ahead of whoever reads them. */
const mostAhead = 8;

/** Time that work has to close what it has opened, before its thread is ended. */
const longestStopMs = 5_000;

/**
 * Runs long work in a thread of its own and hands on what it yields, so that it never holds up an answer. The thread
 * stops a few items ahead of the reader. Aborting, or leaving the loop, asks the work to stop, so that it closes what it
 * has opened, and ends the thread if it does not.
 * @param entry the module that calls `serveThread`, by its URL without extension.
 * @throws what the work threw: a MillraceError as such.
 */
export async function* streamFromThread<D, T>(entry: URL, data: D, signal: AbortSignal): AsyncGenerator<T> {
  signal.throwIfAborted();
  const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  const worker = new Worker(new URL(entry.href + extension), { workerData: data });
  const waiting: T[] = [];
  let wake = () => {};
  let isOver = false;
  let hasExited = false;
  let failure: unknown;
  const end = (error?: unknown) => {
    failure ??= error;
    isOver = true;
    wake();
  };
  worker.on("message", (message: FromThread<T>) => {
    if (message.type === "item") waiting.push(message.item);
    else failure = new MillraceError(message.code, message.reason, message.message, message.details);
    wake();
  });
  worker.on("error", end);
  worker.on("exit", () => {
    hasExited = true;
    end();
  });
  const abort = () => end(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    for (;;) {
      const news = new Promise<void>((resolve) => {
        wake = resolve;
      });
      for (const item of waiting.splice(0)) {
        yield item;
        worker.postMessage("read");
      }
      if (waiting.length > 0) continue;
      if (isOver) break;
      await news;
    }
    if (failure !== undefined) throw failure;
  } finally {
    signal.removeEventListener("abort", abort);
    if (!hasExited) {
      worker.postMessage("stop");
      await Promise.race([once(worker, "exit"), sleep(longestStopMs, undefined, { ref: false })]);
      await worker.terminate();
    }
  }
}

/**
 * In the thread: does the work with the data that it was started with, and hands on what it yields, until it ends or
 * nobody reads it any more: then its signal aborts.
 */
export async function serveThread<D, T>(work: (data: D, signal: AbortSignal) => AsyncIterable<T>): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error("This module is the entry of a worker thread.");
  let ahead = 0;
  let wake = () => {};
  const stopping = new AbortController();
  port.on("message", (message: "read" | "stop") => {
    if (message === "stop") stopping.abort();
    else ahead--;
    wake();
  });
  const tell = (message: FromThread<T>) => port.postMessage(message);
  try {
    for await (const item of work(workerData as D, stopping.signal)) {
      tell({ type: "item", item });
      ahead++;
      while (ahead >= mostAhead && !stopping.signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (stopping.signal.aborted) break;
    }
  } catch (error) {
    if (stopping.signal.aborted) return port.close();
    if (!(error instanceof MillraceError)) throw error;
    const { code, reason, message } = error;
    const { cause: _staysHere, ...details } = error.details;
    tell({ type: "refused", code, reason, message, details });
  }
  port.close();
}
