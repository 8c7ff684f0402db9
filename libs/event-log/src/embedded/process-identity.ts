import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** Names a process so that another on the same machine can see whether it still runs. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Where the pid is meaningful: machine and process namespace. */
  readonly space: string;
  /** When it started, in the system's own unit: tells it from a later process with the same pid. */
  readonly startedAt: string;
}

const startedAt = (pid: number): string => {
  try {
    // The command's name stands in parentheses and may contain blanks; the start time is the 20th field after it.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
};

const processSpace = (): string => {
  try {
    return `${hostname()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
};

export const thisProcess: ProcessIdentity = {
  pid: process.pid,
  space: processSpace(),
  startedAt: startedAt(process.pid),
};

/** Whether that process has certainly ended. False also where it cannot be known from here: then its lease decides. */
export const hasEnded = (other: ProcessIdentity): boolean => {
  if (other.space !== thisProcess.space) return false;
  try {
    process.kill(other.pid, 0);
  } catch (error) {
    return typeof error === "object" && error !== null && "code" in error && error.code === "ESRCH";
  }
  return other.startedAt !== "" && startedAt(other.pid) !== other.startedAt;
};
