import { readFileSync } from "node:fs";

const read = (): string => {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // Only Linux names its boots. Elsewhere a restart of the machine cannot be told apart, and nothing is claimed.
    return "unknown";
  }
};

/**
 * Names the present run of the operating system: after a crash of the machine it is another. On systems that do not tell
 * (anything but Linux) it is always "unknown".
 */
export const bootId: string = read();
