import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { type Client, createClient, openChannel } from "@millrace/grpc";

export interface RunningMonitoring {
  readonly client: Client<typeof MonitoringService>;
  stop(): Promise<void>;
}

/** Starts the monitoring service as a process of its own: what it reads of our log is what it says. */
export const startMonitoring = async (flags: readonly string[]): Promise<RunningMonitoring> => {
  const child = spawn(
    process.execPath,
    ["src/main.ts", "--grpc-port", "0", "--metrics-port", "0", "--exit-with-parent", "true", ...flags],
    {
      cwd: new URL("../../monitoring", import.meta.url),
      env: { ...process.env, NODE_OPTIONS: "--conditions=@millrace/source" },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const address = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { grpcAddress } = JSON.parse(line) as { grpcAddress?: unknown };
      if (typeof grpcAddress === "string") resolve(grpcAddress);
    });
    void exited.then((code) => reject(new Error(`Monitoring ended with ${code}.`)));
  });
  const channel = openChannel(address);
  return {
    client: createClient(MonitoringService, channel),
    stop: async () => {
      channel.close();
      child.kill("SIGTERM");
      await exited;
    },
  };
};
