import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

export interface CommandCost {
  readonly seconds: number;
  /** The largest resident set that was seen of the process, in bytes. */
  readonly peakBytes: number;
  readonly output: string;
}

const lookEveryMs = 20;

/**
 * Runs a command on one core and says what it took, from its start to its end.
 * @throws where it ends with another code than 0, with what it said.
 */
export const measureCommand = async (
  command: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<CommandCost> => {
  const begunMs = performance.now();
  const child = spawn("taskset", ["-c", "0", command, ...args], { env: { ...process.env, ...environment } });
  let output = "";
  let errors = "";
  child.stdout.on("data", (bytes: Buffer) => {
    output += bytes.toString();
  });
  child.stderr.on("data", (bytes: Buffer) => {
    errors += bytes.toString();
  });
  let peakBytes = 0;
  const look = setInterval(() => {
    peakBytes = Math.max(peakBytes, peakOf(child.pid));
  }, lookEveryMs);
  const [code] = (await once(child, "close")) as [number | null];
  clearInterval(look);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}: ${errors.slice(-2000)}`);
  return { seconds: (performance.now() - begunMs) / 1000, peakBytes, output };
};

/** VmHWM of /proc/PID/status: the kernel's own high-water mark. */
const peakOf = (pid: number | undefined): number => {
  try {
    const [, kilobytes = "0"] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Number(kilobytes) * 1024;
  } catch (error) {
    // It is gone between two looks: what was seen before counts.
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return 0;
    throw error;
  }
};
