import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { DeploymentService } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { PredictionService } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import { type Client, createClient, openChannel } from "@millrace/grpc";

export interface RunningInference {
  readonly address: string;
  readonly metricsUrl: string;
  /** `http://127.0.0.1:8000`, of the REST form. */
  readonly restUrl: string;
  readonly oip: Client<typeof GRPCInferenceService>;
  readonly predictions: Client<typeof PredictionService>;
  readonly deployments: Client<typeof DeploymentService>;
  /** Lines that the service logged. */
  readonly log: readonly Record<string, unknown>[];
  /** Sends SIGTERM. @returns the exit code. Connections stay open until the service closes them. */
  terminate(): Promise<number | null>;
  /** Stops the service with SIGTERM. @returns its exit code. */
  stop(): Promise<number | null>;
  /** Ends the process at once, with SIGKILL. */
  kill(): Promise<void>;
}

/** Starts the service as a process of its own, on free ports unless the flags name one. */
export const startInference = async (
  flags: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<RunningInference> => {
  const child: ChildProcess = spawn(
    process.execPath,
    [
      "src/main.ts",
      ...(flags.includes("--grpc-port") ? [] : ["--grpc-port", "0"]),
      ...(flags.includes("--rest-port") ? [] : ["--rest-port", "0"]),
      "--metrics-port",
      "0",
      "--exit-with-parent",
      "true",
      ...flags,
    ],
    {
      cwd: new URL("..", import.meta.url),
      env: { ...process.env, NODE_OPTIONS: "--conditions=@millrace/source", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const log: Record<string, unknown>[] = [];
  let errors = "";
  child.stderr?.on("data", (bytes: Buffer) => {
    errors += bytes.toString();
  });
  const started = new Promise<{ address: string; metricsPort: number }>((resolve, reject) => {
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const entry = JSON.parse(line) as Record<string, unknown>;
      log.push(entry);
      if (typeof entry.grpcAddress === "string") {
        resolve({ address: entry.grpcAddress, metricsPort: Number(entry.metricsPort) });
      }
    });
    void exited.then((code) => reject(new Error(`The service ended with ${code}: ${errors}`)));
  });
  const { address, metricsPort } = await started;
  const rest = log.find(({ restAddress }) => typeof restAddress === "string")?.restAddress;
  const channel = openChannel(address);
  return {
    address,
    metricsUrl: `http://127.0.0.1:${metricsPort}/metrics`,
    restUrl: `http://${rest}`,
    oip: createClient(GRPCInferenceService, channel),
    predictions: createClient(PredictionService, channel),
    deployments: createClient(DeploymentService, channel),
    log,
    terminate: () => {
      child.kill("SIGTERM");
      return exited;
    },
    kill: async () => {
      channel.close();
      child.kill("SIGKILL");
      await exited;
    },
    stop: async () => {
      channel.close();
      child.kill("SIGTERM");
      return exited;
    },
  };
};
