import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { DuckDBInstance } from "@duckdb/node-api";
import { type TrainingSpec, TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";

/** A folder of its own, with what removes it. */
export const freshFolder = async (): Promise<{ readonly folder: string; remove(): Promise<void> }> => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-training-"));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
};

/**
 * Writes `examples.parquet`: ten days of rows whose label follows from distance, hour and carrier, with nulls, a rare
 * category and a label that is known two hours later.
 */
export const writeExamples = async (folder: string, rows = 6000): Promise<void> => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(`
    COPY (
      SELECT
        TIMESTAMP '2001-01-01' + to_seconds(CAST(floor(i * 864000.0 / ${rows}) AS BIGINT)) AS departed_at,
        departed_at + INTERVAL 2 HOUR AS arrived_at,
        CASE WHEN i % 17 = 0 THEN NULL ELSE 100.0 + (i * 7919) % 2500 END AS distance,
        CAST((i * 31) % 24 AS BIGINT) AS hour,
        ['AA', 'DL', 'UA', 'WN'][1 + (i * 13) % 4] AS carrier,
        CASE WHEN i % 5 = 0 THEN NULL ELSE i % 2 = 0 END AS weekend,
        CAST((i * 31) % 24 AS DOUBLE) * 2 + (i * 7919) % 2500 / 100 + CASE WHEN (i * 13) % 4 = 2 THEN 15 ELSE 0 END
          + (i * 104729) % 20 AS delay,
      FROM range(${rows}) AS t(i)
    ) TO '${join(folder, "examples.parquet").replaceAll("'", "''")}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
};

/** A spec over these examples. The members given replace those of the same name, one level deep. */
export const exampleSpec = (
  changes: Readonly<Record<string, JsonValue>> = {},
  trainer: Readonly<Record<string, JsonValue>> = {},
): TrainingSpec =>
  fromJson(TrainingSpecSchema, {
    name: "delay",
    dataset: {
      columns: ["distance", "hour", "carrier", "weekend"],
      examples: {
        parquet: "examples.parquet",
        eventTime: "departed_at",
        label: "delay > 45",
        labelKnownAt: "arrived_at",
        slices: { carrier: "carrier" },
      },
      split: { byTime: { validationFrom: "2001-01-07T00:00:00Z", testFrom: "2001-01-09T00:00:00Z" } },
    },
    trainer: {
      tfjs: {
        layers: [{ dense: 16 }, { dropout: 0.1 }, { batchNormalization: {} }, { dense: 8 }],
        epochs: 4,
        batchSize: 256,
        learningRate: 0.02,
        backend: "WASM",
        preparation: [
          { feature: "hour", cyclic: { period: 24 } },
          { feature: "carrier", embedding: { dimensions: 3 } },
          { feature: "distance", standardize: { log1p: true } },
        ],
        ...trainer,
      },
    },
    seed: "7",
    evaluation: { slices: ["carrier"], bootstrap: { blockBy: "6h", resamples: 20 }, minSliceRows: 50 },
    gates: [{ metric: "ROC_AUC", atLeast: 0.75 }],
    output: { repository: "delay" },
    ...changes,
  });
