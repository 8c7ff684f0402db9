import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { freePort, startRedis } from "@millrace/backing";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  AggregateFunction,
  FeatureRepositorySchema,
  StreamSource_Format,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import {
  FeatureService,
  GetFeaturesRequestSchema,
  GetFeaturesResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { openEventLog } from "@millrace/event-log";
import { createClient, openChannel } from "@millrace/grpc";
import { startScript, startService } from "./child-server.ts";
import { type LoadResult, unaryLoad } from "./load-generator.ts";
import { type Measured, median, record } from "./record.ts";

/*
 * Two questions about feature-serving on Redis:
 *
 * - reading: GetFeatures of 1, 10 and 100 rows × 50 features over 5 latest-row views, beside a grpc-js server that makes
 *   one MGET of as many keys and answers as many bytes;
 * - ingestion: how many events a second the stream worker applies to a windowed view, keys uniform over 10,000.
 */
const entities = 2000;
const views = 5;
const featuresOfView = 10;
const runs = 3;
const seconds = Number(process.env.BENCH_SECONDS ?? 4);
const streamEvents = 200_000;
const streamKeys = 10_000;

const number = (name: string) => ({ name, type: ValueType.DOUBLE });
const columns = Array.from({ length: views * featuresOfView }, (_, index) => `f${index}`);
const repository: MessageInitShape<typeof FeatureRepositorySchema> = {
  entities: [{ name: "device", keys: [{ name: "device", type: ValueType.INT64 }] }],
  sources: [
    {
      name: "profiles",
      fields: [
        { name: "device", type: ValueType.INT64 },
        { name: "at", type: ValueType.TIMESTAMP },
        ...columns.map(number),
      ],
      eventTime: "at",
      createdAt: "at",
      stream: { topic: "profiles", format: StreamSource_Format.JSON },
    },
    {
      name: "readings",
      fields: [{ name: "device", type: ValueType.INT64 }, { name: "at", type: ValueType.TIMESTAMP }, number("value")],
      eventTime: "at",
      createdAt: "at",
      stream: { topic: "readings", format: StreamSource_Format.JSON },
    },
  ],
  featureViews: [
    ...Array.from({ length: views }, (_, view) => ({
      name: `profile_${view}`,
      entity: "device",
      source: "profiles",
      features: columns.slice(view * featuresOfView, (view + 1) * featuresOfView).map(number),
    })),
    {
      name: "windows",
      entity: "device",
      source: "readings",
      aggregates: [
        { name: "mean_1h", function: AggregateFunction.MEAN, of: "value", window: "1h" },
        { name: "max_24h", function: AggregateFunction.MAX, of: "value", window: "24h" },
        { name: "count_24h", function: AggregateFunction.COUNT, window: "24h" },
      ],
    },
  ],
  featureServices: [{ name: "profile", features: Array.from({ length: views }, (_, view) => `profile_${view}.*`) }],
};

const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
const redis = await startRedis();
const eventLogUrl = `log:${join(folder, "log")}`;
const [port, metricsPort] = [await freePort(), await freePort()];
const server = await startService(join(import.meta.dirname, "../../../services/feature-serving/src/main.ts"), port, {
  MILLRACE_ONLINE_STORE_URL: `${redis.url}?prefix=bench:`,
  MILLRACE_EVENT_LOG_URL: eventLogUrl,
  MILLRACE_METRICS_PORT: String(metricsPort),
  MILLRACE_LOG_LEVEL: "warn",
});
const channel = openChannel(`127.0.0.1:${port}`);
const client = createClient(FeatureService, channel);
const rows: Measured[] = [];
try {
  await client.apply({ repository: create(FeatureRepositorySchema, repository) });
  const now = BigInt(Date.now()) * 1000n - 60_000_000n;
  for (let from = 0; from < entities; from += 500) {
    const devices = Array.from({ length: 500 }, (_, index) => BigInt(from + index));
    await client.push(
      {
        source: "profiles",
        columns: [
          { name: "device", values: { values: { case: "int64s", value: { values: devices } } } },
          { name: "at", values: { values: { case: "timestamps", value: { valuesUs: devices.map(() => now) } } } },
          ...columns.map((name, column) => ({
            name,
            values: {
              values: {
                case: "doubles" as const,
                value: { values: devices.map((device) => Number(device) + column / 64) },
              },
            },
          })),
        ],
        waitApplied: true,
      },
      { timeoutMs: 60_000 },
    );
  }
  for (const size of [1, 10, 100]) {
    const message = create(GetFeaturesRequestSchema, {
      selection: { case: "featureService", value: "profile" },
      entities: [
        {
          name: "device",
          values: {
            values: {
              case: "int64s",
              value: { values: Array.from({ length: size }, (_, index) => BigInt((index * 37) % entities)) },
            },
          },
        },
      ],
    });
    const answer = await client.getFeatures(message);
    const request = Buffer.from(toBinary(GetFeaturesRequestSchema, message));
    const answerBytes = toBinary(GetFeaturesResponseSchema, answer).byteLength;
    const floorPort = await freePort();
    const floor = await startScript([
      join(import.meta.dirname, "echo-after-mget-server.ts"),
      ...[floorPort, answerBytes, redis.url, size * views, featuresOfView * 8 + 24].map(String),
    ]);
    try {
      const floors: LoadResult[] = [];
      const ours: LoadResult[] = [];
      for (let index = 0; index < runs; index++) {
        const load = { request, inFlight: 1, seconds, warmUpSeconds: 1 };
        floors.push(await unaryLoad({ ...load, address: `127.0.0.1:${floorPort}`, path: "/echo.Echo/Unary" }));
        ours.push(
          await unaryLoad({
            ...load,
            address: `127.0.0.1:${port}`,
            path: "/millrace.feature.v1.FeatureService/GetFeatures",
          }),
        );
      }
      const failures = ours.reduce((sum, one) => sum + one.failures, 0);
      if (failures > 0) throw new Error(`${failures} calls failed.`);
      const p50s = ours.map(({ p50Ms }) => p50Ms);
      rows.push({
        what: `GetFeatures ${size} × ${views * featuresOfView} features, one in flight, p50`,
        ours: median(p50s),
        unit: "ms",
        ceiling: median(floors.map(({ p50Ms }) => p50Ms)),
        ceilingName: "echo after one MGET",
        runs: p50s,
        note: `p99 ${median(ours.map(({ p99Ms }) => p99Ms)).toFixed(2)} ms, ${answerBytes} bytes an answer`,
      });
    } finally {
      await floor.stop();
    }
  }
  const log = await openEventLog(eventLogUrl);
  const text = new TextEncoder();
  try {
    const rates: number[] = [];
    for (let index = 0; index < runs; index++) {
      const started = performance.now();
      const cpuBefore = server.cpuSeconds();
      for (let from = 0; from < streamEvents; from += 2000) {
        await log.append(
          "readings",
          Array.from({ length: 2000 }, (_, offset) => {
            const event = index * streamEvents + from + offset;
            const device = (event * 7919) % streamKeys;
            return {
              key: text.encode(String(device)),
              value: text.encode(JSON.stringify({ device, at: Number(now) + event * 10, value: event % 97 })),
            };
          }),
        );
      }
      await client.awaitApplied({ source: "readings", positions: [] }, { timeoutMs: 300_000 });
      rates.push(streamEvents / ((performance.now() - started) / 1000));
      console.log(
        `stream run ${index + 1}: ${Math.round(rates.at(-1) ?? 0)} events/s, ${(server.cpuSeconds() - cpuBefore).toFixed(1)} s of the service's processor time`,
      );
    }
    rows.push({
      what: `stream ingestion, 3 windowed aggregates, keys uniform over ${streamKeys}`,
      ours: median(rates),
      unit: "events/s",
      runs: rates,
    });
  } finally {
    await log.close();
  }
  record("features", "npx nx run bench:features", rows);
} finally {
  channel.close();
  await server.stop();
  await redis.remove();
  rmSync(folder, { recursive: true, force: true });
}
