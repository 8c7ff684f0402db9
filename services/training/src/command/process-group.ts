import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";

/**
 * When a process was started, in words that only have to be compared: a number that is used again belongs to a process
 * with another start. Undefined where there is none.
 */
const startOf = (pid: number): string | undefined => {
  try {
    if (process.platform === "linux") {
      // Field 22 of proc(5); the name, which may hold blanks, is in parentheses before it.
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    }
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim() || undefined;
  } catch {
    // There is no such process: that is the answer.
    return undefined;
  }
};

/** Sends a signal to a process and all that it has started in its group. One that has ended is no error. */
export const signalGroup = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
};

/** Remembers the leader of a group in a file, for whoever comes after this process. */
export const rememberGroup = async (file: string, pid: number): Promise<void> => {
  await writeFile(file, JSON.stringify({ pid, start: startOf(pid) }));
};

/**
 * Ends the group that the file remembers, where it is still there: the process that had started it was killed, and could
 * not. Two programs would write to one folder otherwise.
 */
export const endRememberedGroup = async (file: string): Promise<void> => {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return;
  const remembered = parse(text);
  if (remembered !== undefined && startOf(remembered.pid) === remembered.start) signalGroup(remembered.pid, "SIGKILL");
  await rm(file, { force: true });
};

/** Undefined for a file that was cut off while it was written: its program had not begun either. */
const parse = (text: string): { readonly pid: number; readonly start: string } | undefined => {
  try {
    const { pid, start } = JSON.parse(text) as { pid?: unknown; start?: unknown };
    return typeof pid === "number" && typeof start === "string" ? { pid, start } : undefined;
  } catch {
    return undefined;
  }
};
