import { create, toBinary } from "@bufbuild/protobuf";
import {
  type Label,
  LabelSchema,
  type Prediction,
  PredictionSchema,
} from "@millrace/contracts/millrace/event/v1/event";
import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { Meaning, ModelPackageSchema, Task } from "@millrace/contracts/millrace/model/v1/model_package";
import type { NewRecord } from "@millrace/event-log";
import type { ModelStore } from "@millrace/model-package";
import { binaryMetric, buildBaseline, scoredRows, seededRandom } from "@millrace/stats";

/** A made-up world of flights: a model that knows its world, and a world that can be changed under it. */
export interface Flight {
  readonly id: string;
  readonly timeUs: bigint;
  readonly delay: number | null;
  readonly hour: number;
  readonly origin: string;
  readonly score: number;
  readonly label: number;
}

export interface World {
  /** Added to the mean delay into the airport, in minutes: weather, of which the model knows. */
  readonly weather?: number;
  /** Multiplies the delay that is served, but not the one that is true: a broken unit. */
  readonly unit?: number;
  /** Share of rows whose delay is not served. */
  readonly missing?: number;
}

export const JANUARY_US = 978_307_200_000_000n;
export const DAY_US = 86_400_000_000n;
const ORIGINS = ["ATL", "ORD", "DFW", "LAX"];

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Flights of some days, `rowsADay` each, always the same for a seed. */
export const flights = (
  seed: number,
  firstDay: number,
  days: number,
  rowsADay: number,
  world: World = {},
): Flight[] => {
  const random = seededRandom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random());
  return Array.from({ length: days * rowsADay }, (_, row) => {
    const day = firstDay + Math.floor(row / rowsADay);
    const timeUs = JANUARY_US + BigInt(day) * DAY_US + BigInt(Math.floor(random() * 86_000_000) * 1000);
    const hour = Number((timeUs / 3_600_000_000n) % 24n);
    const trueDelay = Math.round((8 + (world.weather ?? 0) + 6 * normal()) * 4) / 4;
    const origin = ORIGINS[Math.floor(random() * ORIGINS.length)] as string;
    const chanceAt = (delay: number) =>
      sigmoid(-2.6 + 0.16 * delay + 0.04 * (hour - 12) + (origin === "ORD" ? 0.3 : 0));
    const label = random() < chanceAt(trueDelay) ? 1 : 0;
    const isMissing = random() < (world.missing ?? 0);
    const delay = isMissing ? null : trueDelay * (world.unit ?? 1);
    return { id: `f${seed}-${row}`, timeUs, delay, hour, origin, score: chanceAt(delay ?? 8), label };
  });
};

/** Pushes the package of the model, with the baseline of a January of 31 days. */
export const pushPackage = async (store: ModelStore): Promise<string> => {
  const january = flights(1, 0, 31, 600);
  const scores = january.map(({ score }) => score);
  const labels = january.map(({ label }) => label);
  const rows = scoredRows(labels, scores);
  const baseline = buildBaseline({
    columns: [
      {
        name: "origin_delays__mean_delay",
        meaning: Meaning.NUMERIC,
        values: january.map(({ delay }) => delay ?? Number.NaN),
      },
      { name: "hour", meaning: Meaning.NUMERIC, values: january.map(({ hour }) => hour) },
      { name: "origin", meaning: Meaning.CATEGORICAL, values: january.map(({ origin }) => origin) },
      { name: "probability", meaning: Meaning.PROBABILITY, output: true, values: scores },
    ],
    eventTimesUs: BigInt64Array.from(january, ({ timeUs }) => timeUs),
    performance: { scores, labels },
  });
  const metric = (name: string) => ({ name, value: binaryMetric(name, rows), rows: BigInt(january.length) });
  const manifest = create(ModelPackageSchema, {
    name: "flight_delay",
    task: Task.BINARY,
    signature: {
      inputs: [],
      outputs: [
        { name: "probability", datatype: "FP32", shape: [-1n, 1n], batched: true, meaning: Meaning.PROBABILITY },
      ],
    },
    features: {
      featureService: "delay_v1",
      featureServiceVersion: "1",
      inputs: [
        {
          feature: "origin_delays__mean_delay",
          input: "origin_delays__mean_delay",
          type: ValueType.DOUBLE,
          featureView: "origin_delays",
          source: "arrivals",
          owner: "airport-data",
          min: -60,
          max: 120,
          importance: 0.2,
        },
        { feature: "hour", input: "hour", type: ValueType.INT64, importance: 0.02 },
        { feature: "origin", input: "origin", type: ValueType.STRING, importance: 0.01 },
      ],
    },
    evaluation: { metrics: [metric("ROC_AUC"), metric("LOG_LOSS")] },
  });
  const { digest } = await store.push("flight_delay", { manifest, model: new Uint8Array([1]), baseline });
  return digest;
};

const timestamp = (timeUs: bigint) => ({ seconds: timeUs / 1_000_000n, nanos: Number(timeUs % 1_000_000n) * 1000 });

export const predictionOf = (
  flight: Flight,
  digest: string,
  changes: { readonly id?: string; readonly model?: string } = {},
): Prediction =>
  create(PredictionSchema, {
    id: flight.id,
    model: "flight_delay",
    packageDigest: digest,
    packageRepository: "flight_delay",
    eventTime: timestamp(flight.timeUs),
    features: [
      flight.delay === null
        ? { name: "origin_delays__mean_delay", status: FeatureStatus.NOT_FOUND }
        : {
            name: "origin_delays__mean_delay",
            status: FeatureStatus.PRESENT,
            value: { value: { case: "double", value: flight.delay } },
          },
      { name: "hour", status: FeatureStatus.PRESENT, value: { value: { case: "int64", value: BigInt(flight.hour) } } },
      { name: "origin", status: FeatureStatus.PRESENT, value: { value: { case: "string", value: flight.origin } } },
    ],
    outputs: [{ name: "probability", values: [flight.score] }],
    ...changes,
  });

const key = (id: string) => new TextEncoder().encode(id);

export const predictionRecord = (prediction: Prediction): NewRecord => ({
  key: key(prediction.id),
  value: toBinary(PredictionSchema, prediction),
});

export const labelOf = (flight: Flight): Label =>
  create(LabelSchema, { predictionId: flight.id, value: flight.label, eventTime: timestamp(flight.timeUs) });

export const labelRecord = (label: Label): NewRecord => ({
  key: key(label.predictionId),
  value: toBinary(LabelSchema, label),
});
