import { readlinkSync } from "node:fs";
import { constants, setPriority } from "node:os";

/**
 * Has the calling thread give way to others of the machine where both want the processor, for good. Linux alone knows
 * priorities of threads, and raising one back needs a privilege; elsewhere this does nothing.
 */
export const yieldProcessor = (): void => {
  if (process.platform !== "linux") return;
  // "PID/task/TID": Node has no name for the thread that it runs on.
  const threadId = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
  setPriority(threadId, constants.priority.PRIORITY_BELOW_NORMAL);
};
