import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { freePort, startRedis } from "@millrace/backing";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { type Client, createClient, openChannel } from "@millrace/grpc";
import { startService } from "../child-server.ts";
import type { ServerProcess } from "../server-process.ts";

/** Feature-serving on a Redis of its own, with a repository applied. */
export interface FeatureServer {
  readonly server: ServerProcess;
  readonly redisUrl: string;
  readonly eventLogUrl: string;
  readonly address: string;
  readonly client: Client<typeof FeatureService>;
  stop(): Promise<void>;
}

export type Repository = MessageInitShape<typeof FeatureRepositorySchema>;

const main = join(import.meta.dirname, "../../../../services/feature-serving/src/main.ts");

/** @param logUrl default: an embedded log in a temporary folder. */
export const startFeatureServer = async (repository: Repository, logUrl?: string): Promise<FeatureServer> => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
  const eventLogUrl = logUrl ?? `log:${join(folder, "log")}`;
  const redis = await startRedis();
  const [port, metricsPort] = [await freePort(), await freePort()];
  const server = await startService(main, port, {
    MILLRACE_ONLINE_STORE_URL: `${redis.url}?prefix=bench:`,
    MILLRACE_EVENT_LOG_URL: eventLogUrl,
    MILLRACE_METRICS_PORT: String(metricsPort),
    MILLRACE_LOG_LEVEL: "warn",
  });
  const address = `127.0.0.1:${port}`;
  const channel = openChannel(address);
  const client = createClient(FeatureService, channel);
  await client.apply({ repository: create(FeatureRepositorySchema, repository) }, { timeoutMs: 60_000 });
  return {
    server,
    redisUrl: redis.url,
    eventLogUrl,
    address,
    client,
    stop: async () => {
      channel.close();
      await server.stop();
      await redis.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
