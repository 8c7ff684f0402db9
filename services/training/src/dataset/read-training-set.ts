import { readFile } from "node:fs/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  type FeatureServiceStatus,
  FeatureServiceStatusSchema,
  TrainingSetSummarySchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Dataset } from "@millrace/contracts/millrace/training/v1/training_spec";
import { DataType, type Table, TimeUnit, tableFromIPC, type Vector } from "apache-arrow";
import { assembleTable, type NamedColumn } from "./assemble-table.ts";
import { type CollectedValue, ColumnCollector } from "./column-collector.ts";
import { DatasetUnusableError } from "./dataset-unusable-error.ts";
import { timestampUs } from "./split-dataset.ts";
import { trainingSetColumns, trainingSetFiles } from "./training-set-files.ts";
import type { ColumnValues, TrainingTable } from "./training-table.ts";

/** Reads the training set that feature-serving sent into the run's folder. */
export const readTrainingSet = async (
  dataset: Dataset,
  runFolder: string,
): Promise<{ readonly table: TrainingTable; readonly featureService: FeatureServiceStatus }> => {
  const files = trainingSetFiles(runFolder);
  const featureService = fromBinary(FeatureServiceStatusSchema, await readFile(files.featureService));
  const summary = fromBinary(TrainingSetSummarySchema, await readFile(files.summary));
  const arrow = tableFromIPC(await readFile(files.arrow));
  const { examples, split } = dataset;
  const names = trainingSetColumns;
  const columns: NamedColumn<"eventTime" | "labelKnownAt" | "label" | "weight" | "splitKey" | "feature" | "slice">[] = [
    { role: "eventTime", name: "event_time", ...read(arrow, names.eventTime) },
    { role: "label", name: "label", ...read(arrow, names.label) },
  ];
  if (examples?.labelKnownAt) {
    columns.push({ role: "labelKnownAt", name: "label_known_at", ...read(arrow, names.labelKnownAt) });
  }
  if (examples?.weight) {
    columns.push({ role: "weight", name: "weight", ...read(arrow, names.weight) });
  }
  if (split?.split.case === "byHash") {
    columns.push({ role: "splitKey", name: "split_key", ...read(arrow, names.splitKey) });
  }
  for (const name of Object.keys(examples?.slices ?? {})) {
    columns.push({ role: "slice", name, ...read(arrow, names.slice(name)) });
  }
  for (const key of featureService.entityKeys) {
    if (!(key.name in (examples?.slices ?? {}))) {
      columns.push({ role: "slice", name: key.name, ...read(arrow, key.name) });
    }
  }
  for (const { name, type } of featureService.features) {
    columns.push({ role: "feature", name, ...read(arrow, name, type) });
  }
  const table = assembleTable(columns, {
    snapshotId: summary.snapshotId,
    newestEventUs: timestampUs(summary.newestEvent),
    definitionsHash: summary.definitionsHash,
    definitionsRevision: summary.revision,
    featureServiceVersion: summary.featureServiceVersion,
    schemaHash: summary.schemaHash,
  });
  return { table, featureService };
};

const read = (arrow: Table, name: string, wanted?: ValueType): { type: ValueType; data: ColumnValues } => {
  const vector = arrow.getChild(name);
  if (vector === null) {
    throw new DatasetUnusableError(name, "a column of the training set", "no such column");
  }
  const type = wanted ?? typeOf(name, vector);
  const collector = new ColumnCollector(type);
  const toMicroseconds = DataType.isTimestamp(vector.type) ? microseconds(vector.type.unit) : undefined;
  for (const batch of vector.data) {
    // A timestamp's own getter answers milliseconds as a double: the raw values keep the microseconds.
    if (toMicroseconds !== undefined) {
      const raw = batch.values as BigInt64Array;
      for (let row = 0; row < batch.length; row++) {
        collector.add(batch.getValid(row) ? toMicroseconds(raw[row] as bigint) : null);
      }
    }
  }
  if (toMicroseconds === undefined) {
    for (const value of vector) {
      collector.add(value as CollectedValue);
    }
  }
  return { type, data: collector.values() };
};

const microseconds = (unit: TimeUnit): ((value: bigint) => bigint) => {
  switch (unit) {
    case TimeUnit.SECOND:
      return (value) => value * 1_000_000n;
    case TimeUnit.MILLISECOND:
      return (value) => value * 1000n;
    case TimeUnit.MICROSECOND:
      return (value) => value;
    case TimeUnit.NANOSECOND:
      return (value) => value / 1000n;
  }
};

const typeOf = (name: string, { type }: Vector): ValueType => {
  if (DataType.isBool(type)) return ValueType.BOOL;
  if (DataType.isInt(type)) return ValueType.INT64;
  if (DataType.isFloat(type) || DataType.isDecimal(type)) return ValueType.DOUBLE;
  if (DataType.isTimestamp(type)) return ValueType.TIMESTAMP;
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type) || DataType.isDictionary(type)) return ValueType.STRING;
  throw new DatasetUnusableError(name, "a boolean, a number, a text or a timestamp", String(type));
};
