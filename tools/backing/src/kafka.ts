import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BackingOptions, BackingServer } from "./backing-server.ts";
import { freePort } from "./free-port.ts";
import { ServerProcess } from "./server-process.ts";

/** Where `nx run backing:install` puts the broker's jars. */
export const kafkaLibrary = join(import.meta.dirname, "../../../.backing/kafka/lib");

const log4j = join(import.meta.dirname, "../kafka/log4j2.yaml");

/** Starts one Kafka node that is its own controller. */
export const startKafka = async (options: BackingOptions = {}): Promise<BackingServer> => {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "millrace-kafka-"));
  mkdirSync(folder, { recursive: true });
  const properties = join(folder, "server.properties");
  const port = options.port ?? (await freePort());
  writeFileSync(properties, settings(port, await freePort(), folder));
  const classpath = join(kafkaLibrary, "*");
  if (!existsSync(join(folder, "data/meta.properties"))) {
    // Any 22 characters of base64 are a cluster id; one that never changes lets data of an earlier start be used.
    await promisify(execFile)("java", [
      "-cp",
      classpath,
      "kafka.tools.StorageTool",
      "format",
      "-t",
      "AAAAAAAAAAAAAAAAAAAAAA",
      "-c",
      properties,
    ]);
  }
  const logFile = join(folder, "kafka.log");
  let startedBefore = 0;
  const server = new ServerProcess({
    name: "Kafka",
    command: "java",
    args: [
      "-Xmx512m",
      "-XX:TieredStopAtLevel=1",
      "-cp",
      classpath,
      `-Dlog4j2.configurationFile=${log4j}`,
      "kafka.Kafka",
      properties,
    ],
    logFile,
    // The log is appended to over restarts: only a line that came since then counts.
    isReady: async () => starts(logFile) > startedBefore,
    startTimeoutMs: 60_000,
  });
  const start = async (): Promise<void> => {
    startedBefore = existsSync(logFile) ? starts(logFile) : 0;
    await server.start();
  };
  await start();
  return {
    url: `kafka://127.0.0.1:${port}`,
    port,
    start,
    kill: () => server.kill(),
    stop: () => server.stop(),
    remove: async () => {
      if (options.folder === undefined) {
        await server.kill();
        rmSync(folder, { recursive: true, force: true });
      } else await server.stop();
    },
  };
};

const starts = (logFile: string): number => readFileSync(logFile, "utf8").split("Kafka Server started").length - 1;

const settings = (port: number, controllerPort: number, folder: string): string =>
  `${[
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    "controller.listener.names=CONTROLLER",
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    `log.dirs=${join(folder, "data")}`,
    "auto.create.topics.enable=false",
    "offsets.topic.num.partitions=4",
    "offsets.topic.replication.factor=1",
    "transaction.state.log.num.partitions=4",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "group.initial.rebalance.delay.ms=0",
    // Facts of the past carry their own time: they are kept, and not judged by the broker's clock.
    "log.retention.ms=-1",
    "log.message.timestamp.before.max.ms=9223372036854775807",
  ].join("\n")}\n`;
