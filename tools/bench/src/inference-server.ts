import { join } from "node:path";
import { freePort } from "@millrace/backing";
import { nodeCommand, startService } from "./child-server.ts";
import type { ServerCommand, ServerProcess } from "./server-process.ts";

const repository = join(import.meta.dirname, "../../..");
const main = join(repository, "services/inference/src/main.ts");

/** The settings under which every benchmark runs the service: `nx run inference:serve`, on ports that are free. */
const common = (grpcPort: number): Readonly<Record<string, string>> => ({
  NODE_COMPILE_CACHE: join(repository, ".nx/compile-cache"),
  MILLRACE_GRPC_PORT: String(grpcPort),
  MILLRACE_METRICS_PORT: "0",
  MILLRACE_REST_PORT: "0",
  MILLRACE_LOG_LEVEL: "warn",
});

/** How the inference service is started. */
export const inferenceCommand = (grpcPort: number, environment: Readonly<Record<string, string>>): ServerCommand => ({
  ...nodeCommand(main),
  environment: { ...common(grpcPort), ...environment },
});

/** An inference service that is ready. */
export interface InferenceServer {
  readonly server: ServerProcess;
  readonly address: string;
  /** Of `/metrics`, on loopback. */
  readonly metricsPort: number;
}

/** Starts the inference service and waits until all that it serves is ready. */
export const startInference = async (environment: Readonly<Record<string, string>>): Promise<InferenceServer> => {
  const [port, metricsPort] = [await freePort(), await freePort()];
  const server = await startService(main, port, {
    ...common(port),
    MILLRACE_METRICS_PORT: String(metricsPort),
    ...environment,
  });
  return { server, address: `127.0.0.1:${port}`, metricsPort };
};
