import { setTimeout as sleep } from "node:timers/promises";
import { Health, HealthCheckResponse_ServingStatus } from "@millrace/contracts/grpc/health/v1/health";
import { createClient, openChannel } from "@millrace/grpc";
import { type ServerProcess, startProcess } from "./server-process.ts";

/** How a TypeScript file of this workspace is run from its sources. */
export const nodeCommand = (...args: readonly string[]) => ({
  command: process.execPath,
  args: ["--conditions=@millrace/source", ...args],
});

/** Starts a script that prints a line when it listens. */
export const startScript = async (args: readonly string[]): Promise<ServerProcess> => {
  const script = startProcess(nodeCommand(...args));
  await script.output();
  return script;
};

/** Starts a millrace service and waits for its health. */
export const startService = async (
  main: string,
  grpcPort: number,
  environment: Readonly<Record<string, string>>,
): Promise<ServerProcess> => {
  const service = startProcess({
    ...nodeCommand(main),
    environment: { MILLRACE_GRPC_PORT: String(grpcPort), ...environment },
  });
  const channel = openChannel(`127.0.0.1:${grpcPort}`);
  const health = createClient(Health, channel);
  try {
    for (let attempt = 0; attempt < 300; attempt++) {
      if (service.ended !== undefined) throw new Error(`${main} ended with ${service.ended}.`);
      const status = await health.check({ service: "" }, { timeoutMs: 1000 }).then(
        (answer) => answer.status,
        // Not there yet.
        () => undefined,
      );
      if (status === HealthCheckResponse_ServingStatus.SERVING) return service;
      await sleep(100);
    }
  } finally {
    channel.close();
  }
  await service.stop();
  throw new Error(`${main} did not become healthy.`);
};
