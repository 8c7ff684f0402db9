import { readFileSync } from "node:fs";
import type { RunningInference } from "./start-inference.ts";

/** The memory that a service's process holds, in bytes. Linux tells it; elsewhere it is 0, and nothing is held by it. */
export const residentBytes = ({ log }: RunningInference): number => {
  if (process.platform !== "linux") return 0;
  const pid = log.find(({ pid }) => typeof pid === "number")?.pid;
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
};
