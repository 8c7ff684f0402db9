import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { hasBacking, startKafka, startRedis } from "@millrace/backing";
import {
  GetReportRequest_Format,
  MonitoringService,
} from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { openEventLog } from "@millrace/event-log";
import { createClient, openChannel } from "@millrace/grpc";
import { openModelStore } from "@millrace/model-package";
import { describe, expect, test } from "vitest";
import { flights, labelOf, labelRecord, predictionOf, predictionRecord, pushPackage } from "./flights.ts";

const main = new URL("../src/main.ts", import.meta.url).pathname;

/** The service as a process of its own, on a free port. */
class MonitoringProcess {
  readonly #child: ChildProcess;
  readonly address: string;

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  static async start(settings: Readonly<Record<string, string>>): Promise<MonitoringProcess> {
    const child = spawn(process.execPath, ["--conditions=@millrace/source", main], {
      env: {
        ...process.env,
        ...settings,
        MILLRACE_GRPC_PORT: "0",
        MILLRACE_METRICS_PORT: "0",
        MILLRACE_EXIT_WITH_PARENT: "true",
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      const address = /"grpcAddress":"([^"]+)"/.exec(line)?.[1];
      if (address === undefined) continue;
      child.stdout?.resume();
      return new MonitoringProcess(child, address);
    }
    throw new Error("The service ended before it listened.");
  }

  client() {
    const channel = openChannel(this.address);
    return { client: createClient(MonitoringService, channel, { timeoutMs: 60_000 }), close: () => channel.close() };
  }

  /** @returns the exit code, or the signal. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    const ended = new Promise<number | NodeJS.Signals | null>((resolve) =>
      this.#child.once("exit", (code, by) => resolve(code ?? by)),
    );
    this.#child.kill(signal);
    return ended;
  }
}

const backings = [
  {
    name: "the embedded log and LMDB",
    runs: true,
    start: async () => ({ urls: undefined, stop: async () => undefined }),
  },
  {
    name: "Kafka and Redis",
    runs: hasBacking("redis", "kafka"),
    start: async () => {
      const [redis, kafka] = await Promise.all([startRedis(), startKafka()]);
      return {
        urls: { state: redis.url, log: kafka.url },
        stop: async () => {
          await redis.remove();
          await kafka.remove();
        },
      };
    },
  },
];

describe.each(backings)("monitoring that is killed in the middle of a window on $name", ({ runs, start }) => {
  test.skipIf(!runs)(
    "ends with the very figures of one that was not, and exits 0 when asked to",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "millrace-kill-"));
      const { urls, stop } = await start();
      const logUrl = urls?.log ?? `log:${join(folder, "log")}`;
      const store = await openModelStore(`oci:${join(folder, "models")}`);
      const digest = await pushPackage(store);
      await store.close();
      const settings = (name: string) => ({
        MILLRACE_STATE_URL:
          urls === undefined ? `lmdb:${join(folder, name)}` : `${urls.state}/${name === "killed" ? 0 : 1}`,
        MILLRACE_EVENT_LOG_URL: logUrl,
        MILLRACE_MODEL_STORE_URL: `oci:${join(folder, "models")}`,
        MILLRACE_GROUP: name,
        MILLRACE_ALERT_TOPIC: `alerts-${name}`,
        MILLRACE_PARTITIONS: "2",
        MILLRACE_BATCH_RECORDS: "50",
        MILLRACE_LOG_LEVEL: "info",
      });
      const log = await openEventLog(logUrl);
      await log.ensureTopic("predictions", 2);
      await log.ensureTopic("labels", 2);
      const rows = flights(50, 35, 3, 2000, { weather: 3 });
      const again = rows.slice(0, 100);
      await log.append(
        "labels",
        rows.slice(0, 500).map((row) => labelRecord(labelOf(row))),
      );
      await log.append(
        "predictions",
        [...rows, ...again].map((row) => predictionRecord(predictionOf(row, digest))),
      );
      await log.append(
        "labels",
        rows.slice(500).map((row) => labelRecord(labelOf(row))),
      );

      const judgeUntil = timestampFromDate(new Date(Date.UTC(2001, 1, 8)));
      const report = async (process: MonitoringProcess): Promise<unknown> => {
        const { client, close } = process.client();
        const counted = await client.awaitCounted({ judgeUntil });
        expect(counted).toMatchObject({ predictions: 6000n, labels: 6000n });
        const { content } = await client.getReport({ model: "flight_delay", format: GetReportRequest_Format.JSON });
        close();
        return JSON.parse(content);
      };

      let killed = 0;
      let process = await MonitoringProcess.start(settings("killed"));
      for (const share of [0.1, 0.35, 0.7]) {
        const { client, close } = process.client();
        for (let counted = 0; counted < share * 6000; ) {
          const { models } = await client.getStatus({});
          counted = Number(models[0]?.predictions ?? 0n);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        close();
        expect(await process.end("SIGKILL")).toBe("SIGKILL");
        killed++;
        process = await MonitoringProcess.start(settings("killed"));
      }
      expect(killed).toBe(3);
      const disturbed = await report(process);
      expect(await process.end("SIGTERM")).toBe(0);

      const calm = await MonitoringProcess.start(settings("calm"));
      const undisturbed = await report(calm);
      expect(await calm.end("SIGTERM")).toBe(0);

      expect(disturbed).toEqual(undisturbed);
      await log.close();
      await stop();
      await rm(folder, { recursive: true });
    },
    180_000,
  );
});
