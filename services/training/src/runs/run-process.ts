import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { RunOrder, RunReport } from "../pipeline/run-report.ts";

/** What goes from the run's process to the service. */
export type ProcessMessage =
  | { readonly kind: "report"; readonly report: RunReport }
  | { readonly kind: "finished" }
  | {
      readonly kind: "failed";
      readonly reason: string;
      readonly message: string;
      readonly field: string;
      readonly stack: string;
    };

/** How a run's process ended. */
export type ProcessEnd =
  | { readonly kind: "finished" }
  | { readonly kind: "stopped" }
  /** The process is gone without a word: killed, out of memory, or crashed in a native library. */
  | { readonly kind: "crashed"; readonly how: string }
  | {
      readonly kind: "failed";
      readonly reason: string;
      readonly message: string;
      readonly field: string;
      readonly stack: string;
    };

const graceMs = 3000;

/**
 * Runs a pipeline in a process of its own: training blocks its thread, and one that runs out of memory, or whose native
 * library crashes, takes nothing with it. The process has a lower priority than the service, so that calls are answered
 * on a machine that training fills. It ends when the service is gone, whichever way.
 *
 * @param signal stops the process; the promise resolves once it is gone.
 */
export const runProcess = async (
  order: RunOrder,
  onReport: (report: RunReport) => void,
  signal: AbortSignal,
): Promise<ProcessEnd> => {
  if (signal.aborted) {
    return { kind: "stopped" };
  }
  const entry = `./run-process-entry${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`;
  const child = fork(fileURLToPath(new URL(entry, import.meta.url)), [], {
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const stop = (): void => {
    child.kill("SIGTERM");
    kill = setTimeout(() => child.kill("SIGKILL"), graceMs);
  };
  let kill: NodeJS.Timeout | undefined;
  let end: ProcessEnd | undefined;
  signal.addEventListener("abort", stop, { once: true });
  child.on("message", (message: ProcessMessage) => {
    if (message.kind === "report") {
      onReport(message.report);
    } else {
      end = message;
    }
  });
  try {
    child.send(order);
    const exit = await exitOf(child);
    if (signal.aborted) {
      return { kind: "stopped" };
    }
    return end ?? { kind: "crashed", how: exit };
  } finally {
    clearTimeout(kill);
    signal.removeEventListener("abort", stop);
  }
};

const exitOf = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(signal === null ? `exit code ${code}` : signal));
  });
