import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { freePort } from "@millrace/backing";
import { PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { Meaning, ModelPackageSchema, Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { openEventLog } from "@millrace/event-log";
import { createClient, openChannel } from "@millrace/grpc";
import { openModelStore } from "@millrace/model-package";
import { buildBaseline, ProfileBuilder, seededRandom } from "@millrace/stats";
import { startService } from "./child-server.ts";
import { measureCompare } from "./monitoring/measure-compare.ts";
import { type Measured, median, record } from "./record.ts";

/*
 * Three questions about monitoring, the first two for predictions of 20 numeric features:
 *
 * - the ceiling: how many are decoded and profiled, with no log and no store;
 * - the service: how many it takes from the embedded log into LMDB, with what the join of labels keeps;
 * - the exact comparison of two tables, with `--peers` beside SciPy and Evidently.
 *
 * The first two are by the second of processor time, so that other work on the machine does not show.
 */
const withPeers = process.argv.includes("--peers");
const features = Array.from({ length: 20 }, (_, index) => `f${index}`);
const runs = 3;
const predictions = Number(process.env.BENCH_PREDICTIONS ?? 20_000);
const random = seededRandom(1);
const start = 978_307_200n;

const column = (name: string, output = false) => ({
  name,
  output,
  meaning: output ? Meaning.PROBABILITY : Meaning.NUMERIC,
  values: Array.from({ length: 5000 }, () => random()),
});
const baseline = buildBaseline({
  columns: [...features.map((name) => column(name)), column("probability", true)],
  eventTimesUs: BigInt64Array.from({ length: 5000 }, (_, row) => start * 1_000_000n + BigInt(row) * 400_000_000n),
});
const manifest = create(ModelPackageSchema, {
  name: "bench",
  task: Task.BINARY,
  signature: { outputs: [{ name: "probability", meaning: Meaning.PROBABILITY, shape: [-1n, 1n], batched: true }] },
});

const predictionBytes = (run: number, row: number, digest: string): { id: string; value: Uint8Array } => {
  const id = `${run}-${row}`;
  const prediction = create(PredictionSchema, {
    id,
    model: "bench",
    packageDigest: digest,
    packageRepository: "bench",
    eventTime: { seconds: start + BigInt(row % 86_400), nanos: 0 },
    features: features.map((name) => ({
      name,
      status: FeatureStatus.PRESENT,
      value: { value: { case: "double" as const, value: random() } },
    })),
    outputs: [{ name: "probability", values: [random()] }],
  });
  return { id, value: toBinary(PredictionSchema, prediction) };
};

/** Predictions a second of processor time that are decoded and profiled. */
const profileOnly = (): number => {
  const records = Array.from({ length: predictions }, (_, row) => predictionBytes(0, row, "").value);
  const builder = new ProfileBuilder(baseline.columns, { performance: true });
  const begun = process.cpuUsage();
  for (const bytes of records) {
    const prediction = fromBinary(PredictionSchema, bytes);
    builder.addRows(1);
    for (const [index, feature] of prediction.features.entries()) {
      const profiler = builder.columns[index];
      profiler?.addStatus(feature.status);
      if (feature.value?.value.case === "double") profiler?.addNumber(feature.value.value.value);
    }
    builder.columns.at(-1)?.addNumber(prediction.outputs[0]?.values[0] ?? 0);
    builder.performance?.addScore(prediction.outputs[0]?.values[0] ?? 0);
  }
  const { user, system } = process.cpuUsage(begun);
  return predictions / ((user + system) / 1e6);
};

const folder = mkdtempSync(join(tmpdir(), "millrace-bench-monitoring-"));
const store = await openModelStore(`oci:${join(folder, "models")}`);
const { digest } = await store.push("bench", { manifest, model: new Uint8Array([1]), baseline });
await store.close();
const log = await openEventLog(`log:${join(folder, "log")}`);
const port = await freePort();
const server = await startService(new URL("../../../services/monitoring/src/main.ts", import.meta.url).pathname, port, {
  MILLRACE_METRICS_PORT: "0",
  MILLRACE_STATE_URL: `lmdb:${join(folder, "state")}`,
  MILLRACE_EVENT_LOG_URL: `log:${join(folder, "log")}`,
  MILLRACE_MODEL_STORE_URL: `oci:${join(folder, "models")}`,
  MILLRACE_LOG_LEVEL: "warn",
});
const channel = openChannel(`127.0.0.1:${port}`);
try {
  const client = createClient(MonitoringService, channel);
  const ceilings: number[] = [];
  const rates: number[] = [];
  const processor: number[] = [];
  for (let run = 0; run < runs; run++) {
    ceilings.push(profileOnly());
    for (let from = 0; from < predictions; from += 2000)
      await log.append(
        "predictions",
        Array.from({ length: Math.min(2000, predictions - from) }, (_, offset) => {
          const { id, value } = predictionBytes(run + 1, from + offset, digest);
          return { key: new TextEncoder().encode(id), value };
        }),
      );
    // What was counted while it was being appended is in the processor's time, so that is what the rate is taken from.
    await client.awaitCounted({}, { timeoutMs: 300_000 });
    processor.push(server.cpuSeconds());
    const used = (processor.at(-1) ?? 0) - (processor.at(-2) ?? 0);
    rates.push(predictions / used);
  }
  const rows: Measured[] = [
    {
      what: "decode and profile 20 features",
      ours: median(ceilings),
      unit: "predictions a second of processor time",
      runs: ceilings,
    },
    {
      what: "the service, from the embedded log into LMDB, labels joined",
      ours: median(rates),
      unit: "predictions a second of processor time",
      ceiling: median(ceilings),
      ceilingName: "decode and profile",
      runs: rates,
    },
  ];
  rows.push(...(await measureCompare(runs, withPeers)));
  if (withPeers) record("monitoring-peers", "npx nx run bench:monitoring -- --peers", rows);
  else record("monitoring", "npx nx run bench:monitoring", rows);
} finally {
  channel.close();
  await server.stop();
  await log.close();
  rmSync(folder, { recursive: true, force: true });
}
