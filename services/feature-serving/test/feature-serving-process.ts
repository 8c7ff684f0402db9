import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { type Client, createClient, openChannel } from "@millrace/grpc";

/** A feature-serving in a process of its own, on a free port. */
export interface FeatureServingProcess {
  readonly client: Client<typeof FeatureService>;
  readonly address: string;
  readonly metricsPort: number;
  /** Stops it as an orchestrator does. @returns its exit code. */
  stop(): Promise<number | null>;
  /** Cuts it off in the middle of whatever it does. */
  kill(): Promise<void>;
}

export interface ProcessStores {
  readonly onlineStoreUrl: string;
  readonly eventLogUrl: string;
  readonly dataRoot: string;
}

/** Starts the service and waits until it is ready. */
export async function startFeatureServing(
  stores: ProcessStores,
  flags: readonly string[] = [],
): Promise<FeatureServingProcess> {
  const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
  const settings = {
    "--online-store-url": stores.onlineStoreUrl,
    "--event-log-url": stores.eventLogUrl,
    "--data-root": stores.dataRoot,
    "--grpc-port": "0",
    "--metrics-port": "0",
  };
  const args = Object.entries(settings).flat();
  const child = spawn(process.execPath, ["--conditions=@millrace/source", main, ...args, ...flags], {
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { address, metricsPort } = await readiness(child);
  const channel = openChannel(address);
  const client = createClient(FeatureService, channel, { timeoutMs: 60_000 });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const end = async (signal: NodeJS.Signals) => {
    channel.close();
    child.kill(signal);
    return exited;
  };
  return {
    client,
    address,
    metricsPort,
    stop: () => end("SIGTERM"),
    kill: async () => {
      await end("SIGKILL");
    },
  };
}

function readiness(child: ChildProcess): Promise<{ address: string; metricsPort: number }> {
  return new Promise((resolve, reject) => {
    let text = "";
    let listening: { address: string; metricsPort: number } | undefined;
    let isReady = false;
    child.once("exit", (code) => reject(new Error(`feature-serving ended with code ${code}: ${text}`)));
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        if (process.env.SHOW_SERVICE_LOG === "1") console.log(line);
        const entry: { msg?: string; grpcAddress?: string; metricsPort?: number } = JSON.parse(line);
        if (entry.grpcAddress !== undefined && entry.metricsPort !== undefined) {
          listening = { address: entry.grpcAddress, metricsPort: entry.metricsPort };
        }
        if (entry.msg === "ready") isReady = true;
      }
      if (isReady && listening !== undefined) resolve(listening);
    });
  });
}
