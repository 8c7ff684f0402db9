import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Health, HealthCheckResponse_ServingStatus } from "@millrace/contracts/grpc/health/v1/health";
import { createClient, openChannel } from "@millrace/grpc";

export interface ChildServer {
  /** Seconds of processor time that the process has used. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

const asServer = (child: ChildProcess): ChildServer => ({
  cpuSeconds: () => {
    // Fields 14 and 15 of /proc/PID/stat are ticks of 10 ms in user and kernel mode; the name before may hold spaces.
    const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  },
  stop: async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    await exit;
  },
});

const launch = (args: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess => {
  const child = spawn(process.execPath, ["--conditions=@millrace/source", ...args], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.once("exit", () => child.kill("SIGKILL"));
  return child;
};

/** Starts a script that prints a line when it listens. */
export const startScript = async (args: readonly string[]): Promise<ChildServer> => {
  const child = launch(args, {});
  if (child.stdout === null) throw new Error("The script has no output.");
  await once(child.stdout, "data");
  return asServer(child);
};

/** Starts a millrace service and waits for its health. */
export const startService = async (
  main: string,
  grpcPort: number,
  environment: Readonly<Record<string, string>>,
): Promise<ChildServer> => {
  const child = launch([main], { MILLRACE_GRPC_PORT: String(grpcPort), ...environment });
  child.stdout?.resume();
  const channel = openChannel(`127.0.0.1:${grpcPort}`);
  const health = createClient(Health, channel);
  try {
    for (let attempt = 0; attempt < 300; attempt++) {
      if (child.exitCode !== null) throw new Error(`${main} ended with ${child.exitCode}.`);
      const status = await health.check({ service: "" }, { timeoutMs: 1000 }).then(
        (answer) => answer.status,
        // Not there yet.
        () => undefined,
      );
      if (status === HealthCheckResponse_ServingStatus.SERVING) return asServer(child);
      await sleep(100);
    }
  } finally {
    channel.close();
  }
  throw new Error(`${main} did not become healthy.`);
};
