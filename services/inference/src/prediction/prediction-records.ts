import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Prediction, PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import type { FeatureInput } from "@millrace/contracts/millrace/model/v1/model_package";
import { decodeStrings, elementCount, type Tensor, toNumbers } from "@millrace/tensor";
import type { Servable } from "../serving/servable.ts";
import { type ReadableColumn, valueAt } from "./column-rows.ts";

/** Everything that one call of Predict gave, for its rows. */
export interface PredictedRows {
  readonly served: Servable;
  readonly bindings: readonly FeatureInput[];
  readonly ids: readonly string[];
  /** The time asked for, in µs, by row. */
  readonly eventTimesUs: readonly bigint[];
  readonly entities: readonly ReadableColumn[];
  readonly columns: ReadonlyMap<string, ReadableColumn>;
  readonly outputs: readonly Tensor[];
  /** Epoch ms. */
  readonly answeredMs: number;
  readonly latencyMs: number;
  readonly traceId: string | undefined;
  readonly featureService: string;
  readonly featureServiceVersion: string;
  readonly featuresAsOf: string;
}

/** One record of the prediction log for each of the given rows. */
export const predictionRecords = (predicted: PredictedRows, rows: readonly number[]): Prediction[] => {
  const { served, bindings, ids, columns, entities, answeredMs, latencyMs } = predicted;
  const outputs = predicted.outputs.map(perRow);
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

const perRow = ({ name, datatype, shape, data }: Tensor) => {
  const width = elementCount(shape.slice(1));
  if (datatype === "BYTES") {
    const strings = decodeStrings(name, data, elementCount(shape));
    return (row: number) => ({ name, values: [], strings: strings.slice(row * width, (row + 1) * width) });
  }
  const numbers = toNumbers(datatype, data);
  return (row: number) => ({ name, values: [...numbers.subarray(row * width, (row + 1) * width)], strings: [] });
};

/** Microseconds since 1970 as a timestamp; before 1970 too. */
const timestampOfUs = (timeUs: bigint) => {
  const us = ((timeUs % 1_000_000n) + 1_000_000n) % 1_000_000n;
  return { seconds: (timeUs - us) / 1_000_000n, nanos: Number(us) * 1000 };
};

/** Whether a prediction belongs to the sample: by its id alone, so that a repeated call is sampled alike (FNV-1a). */
export const isSampled = (id: string, share: number): boolean => {
  if (share >= 1) return true;
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193) >>> 0;
  return hash / 2 ** 32 < share;
};
