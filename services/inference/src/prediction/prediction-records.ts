import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Prediction, PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import type { FeatureInput } from "@millrace/contracts/millrace/model/v1/model_package";
import { decodeStrings, elementCount, type Tensor, toNumbers } from "@millrace/tensor";
import type { Servable } from "../serving/servable.ts";
import type { CalibratedOutput } from "./calibrated-outputs.ts";
import { type ReadableColumn, valueAt } from "./column-rows.ts";
import { type LoggableRows, predictionHeaders } from "./loggable-rows.ts";

/** Everything that one call of Predict gave, for its rows. */
export interface PredictedRows {
  readonly served: Servable;
  readonly bindings: readonly FeatureInput[];
  readonly ids: readonly string[];
  /** The time asked for, in µs, by row. */
  readonly eventTimesUs: readonly bigint[];
  readonly entities: readonly ReadableColumn[];
  readonly columns: ReadonlyMap<string, ReadableColumn>;
  /** As the graph gave them. */
  readonly outputs: readonly Tensor[];
  /** As the caller got one of them, where the package calibrates it. */
  readonly calibrated: CalibratedOutput | undefined;
  /** Epoch ms. */
  readonly answeredMs: number;
  readonly latencyMs: number;
  readonly traceId: string | undefined;
  readonly featureService: string;
  readonly featureServiceVersion: string;
  readonly featuresAsOf: string;
}

/** The given rows as they are logged: one record each, encoded when it is asked for. */
export const loggablePredictions = (predicted: PredictedRows, rows: readonly number[]): LoggableRows => {
  const { columns, outputs, served, answeredMs, ids } = predicted;
  const outputBytes = outputs.reduce((bytes, { data }) => bytes + data.byteLength, 0);
  return {
    count: rows.length,
    // What a call holds is a guess for its columns: their values are JavaScript's.
    bytes: outputBytes + ids.length * columns.size * bytesOfValue,
    records: (from, to) =>
      predictions(predicted, rows.slice(from, to)).map((prediction) => ({
        key: utf8.encode(prediction.id),
        value: toBinary(PredictionSchema, prediction),
        headers: predictionHeaders(prediction.id, served.name, answeredMs),
      })),
  };
};

const bytesOfValue = 32;
const utf8 = new TextEncoder();

/** One prediction for each of the given rows. */
const predictions = (predicted: PredictedRows, rows: readonly number[]): Prediction[] => {
  const { served, bindings, ids, columns, entities, answeredMs, latencyMs } = predicted;
  const outputs = predicted.outputs.map((output) => perRow(output, predicted.calibrated));
  return rows.map((row) =>
    create(PredictionSchema, {
      id: ids[row] ?? "",
      model: served.name,
      modelVersion: served.version,
      packageDigest: served.origin.digest,
      packageRepository: served.origin.repository,
      eventTime: timestampOfUs(predicted.eventTimesUs[row] ?? 0n),
      answeredAt: timestampFromDate(new Date(answeredMs)),
      entityKeys: Object.fromEntries(
        entities.flatMap((column) => {
          const value = valueAt(column, row);
          return value === undefined ? [] : [[column.name, value]];
        }),
      ),
      features: bindings.flatMap(({ feature }) => {
        const column = columns.get(feature);
        if (column === undefined) return [];
        const value = valueAt(column, row);
        const timeUs = column.eventTimeUs(row);
        return {
          name: feature,
          status: column.status(row),
          ...(value === undefined ? {} : { value }),
          ...(timeUs === undefined ? {} : { eventTime: timestampOfUs(timeUs) }),
        };
      }),
      outputs: outputs.map((values) => values(row)),
      latencyUs: BigInt(Math.round(latencyMs * 1000)),
      traceId: predicted.traceId ?? "",
      featureService: predicted.featureService,
      featureServiceVersion: predicted.featureServiceVersion,
      featuresAsOf: predicted.featuresAsOf,
    }),
  );
};

const perRow = ({ name, datatype, shape, data }: Tensor, calibrated: CalibratedOutput | undefined) => {
  const width = elementCount(shape.slice(1));
  if (datatype === "BYTES") {
    const strings = decodeStrings(name, data, elementCount(shape));
    return (row: number) => ({ name, values: [], strings: strings.slice(row * width, (row + 1) * width) });
  }
  const numbers = toNumbers(datatype, data);
  const probabilities = calibrated?.name === name ? calibrated.probabilities : undefined;
  return (row: number) => ({
    name,
    values: [...numbers.subarray(row * width, (row + 1) * width)],
    strings: [],
    calibrated: [...(probabilities?.subarray(row * width, (row + 1) * width) ?? [])],
  });
};

/** Microseconds since 1970 as a timestamp; before 1970 too. */
const timestampOfUs = (timeUs: bigint) => {
  const us = ((timeUs % 1_000_000n) + 1_000_000n) % 1_000_000n;
  return { seconds: (timeUs - us) / 1_000_000n, nanos: Number(us) * 1000 };
};

/**
 * Whether a prediction belongs to the sample: by its id alone, so that a repeated call is sampled alike (FNV-1a, and
 * MurmurHash3's last mixing, without which ids that differ in their last character only would be sampled together).
 */
export const isSampled = (id: string, share: number): boolean => {
  if (share >= 1) return true;
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 < share;
};
