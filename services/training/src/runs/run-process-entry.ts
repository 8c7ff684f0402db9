import { setPriority } from "node:os";
import { MillraceError } from "@millrace/errors";
import { runPipeline } from "../pipeline/run-pipeline.ts";
import type { RunOrder } from "../pipeline/run-report.ts";
import type { ProcessMessage } from "./run-process.ts";

// The process of one run: it is given its order, reports, and ends.

const abort = new AbortController();
const send = (message: ProcessMessage): void => {
  if (process.connected) {
    process.send?.(message);
  }
};

// A third of the share of a process that serves, where both want the processor.
setPriority(5);
// The service is gone: whoever takes the run up again starts a process of its own.
process.once("disconnect", () => process.exit(0));
process.once("SIGTERM", () => abort.abort());
// Ctrl-C reaches the whole group: the service decides what becomes of the run.
process.on("SIGINT", () => {});

process.once("message", async (order: RunOrder) => {
  try {
    await runPipeline(order, (report) => send({ kind: "report", report }), abort.signal);
    send({ kind: "finished" });
  } catch (error) {
    send(failure(error));
  }
  process.disconnect();
});

const failure = (error: unknown): ProcessMessage => {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return error instanceof MillraceError
    ? {
        kind: "failed",
        reason: error.reasonName,
        message: error.message,
        field: error.details.violations?.[0]?.field ?? "",
        stack,
      }
    : {
        kind: "failed",
        reason: "INTERNAL",
        message: "The run failed by a defect; the service's log has the cause.",
        field: "",
        stack,
      };
};
