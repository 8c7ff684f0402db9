import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBConnection,
  DuckDBDataChunk,
  DuckDBInstance,
  DuckDBTimestampTZValue,
  type DuckDBType,
  type DuckDBValue,
  TIMESTAMPTZ,
  VARCHAR,
} from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { valueTypeName } from "@millrace/feature-definition";
import type { NetworkInput } from "@millrace/onnx";
import type { SplitDataset } from "../dataset/split-dataset.ts";
import type { ColumnValues, TrainingTable } from "../dataset/training-table.ts";
import { replaceFile } from "../network/checkpoint.ts";

/** Columns of the files beside the features. */
export const trainerColumns = ["event_time", "label", "weight"] as const;

const chunkRows = 2048;

interface Column {
  readonly name: string;
  readonly type: DuckDBType;
  readonly at: (row: number) => DuckDBValue;
}

/**
 * Writes what a program learns from: `train.parquet` and `validation.parquet` with features, `event_time`, `label` and,
 * where the spec has one, `weight`; `test.parquet` with the features alone, since only the platform judges; and
 * `dataset.json`, which says what each feature is and how our own networks would prepare it. That comes last: where it is,
 * the dataset has been written whole before, and stays.
 */
export const writeTrainerDataset = async (
  folder: string,
  table: TrainingTable,
  { training, validation, test, task }: SplitDataset,
  inputs: readonly NetworkInput[],
  seed: bigint,
): Promise<void> => {
  const lastFile = join(folder, "dataset.json");
  if (existsSync(lastFile)) return;
  await mkdir(folder, { recursive: true });
  const features = table.features.map(({ name, data }): Column => ({ name, ...valuesOf(data) }));
  const labelled: Column[] = [
    { name: "event_time", type: TIMESTAMPTZ, at: (row) => new DuckDBTimestampTZValue(table.eventTimesUs[row] ?? 0n) },
    { name: "label", type: DOUBLE, at: (row) => table.labels[row] ?? null },
    ...(table.weights === undefined
      ? []
      : [{ name: "weight", type: DOUBLE, at: (row: number) => table.weights?.[row] ?? null }]),
  ];
  const instance = await DuckDBInstance.create(":memory:", { autoinstall_known_extensions: "false" });
  const connection = await instance.connect();
  try {
    await writeParquet(connection, join(folder, "train.parquet"), [...features, ...labelled], training);
    await writeParquet(connection, join(folder, "validation.parquet"), [...features, ...labelled], validation);
    await writeParquet(connection, join(folder, "test.parquet"), features, test);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
  const description = {
    task: task === Task.BINARY ? "BINARY" : "REGRESSION",
    label: "label",
    weight: table.weights === undefined ? null : "weight",
    eventTime: "event_time",
    seed: Number(seed),
    snapshotId: table.origin.snapshotId,
    features: inputs.map(({ name, datatype, preparation }, place) => ({
      name,
      type: valueTypeName(table.features[place]?.type ?? ValueType.VALUE_TYPE_UNSPECIFIED),
      datatype,
      preparation,
    })),
  };
  const text = JSON.stringify(description, (_key, value) => (typeof value === "bigint" ? Number(value) : value), 2);
  await replaceFile(lastFile, Buffer.from(text));
};

const valuesOf = (data: ColumnValues): Omit<Column, "name"> => {
  switch (data.kind) {
    case "number":
      return { type: DOUBLE, at: (row) => (Number.isNaN(data.values[row]) ? null : (data.values[row] ?? null)) };
    case "integer":
      return { type: BIGINT, at: (row) => (data.nulls?.[row] === 1 ? null : (data.values[row] ?? null)) };
    case "boolean":
      return { type: BOOLEAN, at: (row) => (data.nulls?.[row] === 1 ? null : data.values[row] === 1) };
    case "string":
      return { type: VARCHAR, at: (row) => data.values[row] || null };
  }
};

const writeParquet = async (
  connection: DuckDBConnection,
  file: string,
  columns: readonly Column[],
  rows: Uint32Array,
): Promise<void> => {
  const types = columns.map(({ type }) => type);
  const names = columns.map(({ name, type }) => `"${name.replaceAll('"', '""')}" ${type}`).join(", ");
  await connection.run(`CREATE OR REPLACE TABLE part (${names})`);
  const appender = await connection.createAppender("part");
  for (let from = 0; from < rows.length; from += chunkRows) {
    const taken = rows.subarray(from, from + chunkRows);
    const chunk = DuckDBDataChunk.create(types, taken.length);
    chunk.setColumns(columns.map(({ at }) => Array.from(taken, at)));
    appender.appendDataChunk(chunk);
  }
  appender.closeSync();
  await connection.run(`COPY part TO '${file.replaceAll("'", "''")}' (FORMAT parquet)`);
  await connection.run("DROP TABLE part");
};
