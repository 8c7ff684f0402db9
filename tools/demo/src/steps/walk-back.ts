import type { Prediction, ServedFeature } from "@millrace/contracts/millrace/event/v1/event";
import type { Value } from "@millrace/contracts/millrace/feature/v1/column";
import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { openModelStore } from "@millrace/model-package";
import {
  makeData,
  makeVector,
  Table,
  TimestampMicrosecond,
  tableFromIPC,
  tableToIPC,
  Utf8,
  type Vector,
  vectorFromArray,
} from "apache-arrow";
import type { Narration } from "../narration.ts";
import type { Clients } from "./clients.ts";

/** A served value and the value computed offline differ: a defect of the platform. */
export class SkewError extends Error {
  constructor(prediction: string, feature: string, served: unknown, offline: unknown) {
    super(`Prediction ${prediction} was served ${feature} = ${served}; offline it is ${offline}.`);
    this.name = "SkewError";
  }
}

/** Follows one prediction back to the definitions and the data that made it. */
export const walkBack = async (
  { monitoring, training }: Clients,
  id: string,
  modelStoreUrl: string,
  narration: Narration,
): Promise<Prediction> => {
  const { prediction, label } = await monitoring.getPrediction({ id });
  if (prediction === undefined) throw new Error(`Monitoring has no prediction ${id}.`);
  const airport = prediction.entityKeys.airport;
  narration.strong(
    `prediction ${id}: ${prediction.outputs.map(({ name, values }) => `${name} ${values.map((v) => v.toFixed(3)).join(" ")}`).join(", ")}`,
  );
  narration.line(
    `asked ${timeOf(prediction)} for airport ${airport === undefined ? "?" : plain(airport)}; label ${label === undefined ? "not known" : label.value}`,
  );
  for (const feature of prediction.features) {
    const time =
      feature.eventTime === undefined
        ? ""
        : `  as of ${new Date(Number(feature.eventTime.seconds) * 1000).toISOString().slice(0, 16)}Z`;
    narration.line(`  ${feature.name.padEnd(32)} ${shown(feature)}${time}`);
  }
  const store = await openModelStore(modelStoreUrl);
  try {
    const reference = `${prediction.packageRepository}@${prediction.packageDigest}`;
    const { manifest } = await store.pull(reference);
    narration.line(`package     ${reference}`);
    const { runs } = await training.listRuns({ pageSize: 1000 });
    const run = runs.find(({ packageDigest }) => packageDigest === prediction.packageDigest);
    narration.line(
      `run         ${run === undefined ? "not in this training service" : `${run.id}, asked for by ${run.requestedBy}`}`,
    );
    const lineage = manifest.lineage;
    narration.line(`dataset     snapshot ${lineage?.datasetSnapshotId}`);
    narration.line(
      `definitions ${lineage?.definitionsHash.slice(0, 12)}, git revision ${lineage?.definitionsRevision || "none"}`,
    );
  } finally {
    await store.close();
  }
  return prediction;
};

/**
 * Computes the features of predictions again, offline, from the history as it was known at each moment, and compares every
 * value with the one that was served.
 * @returns how many values were compared. @throws SkewError on the first that differs.
 */
export const compareWithOffline = async (
  { features }: Clients,
  featureService: string,
  predictions: readonly Prediction[],
): Promise<number> => {
  const rows = predictions.map((prediction) => ({ prediction, departedAt: microseconds(prediction) }));
  const distances = rows.map(({ prediction }) => {
    const distance = prediction.features.find(({ name }) => name === "push_back__distance")?.value;
    return distance === undefined ? 0n : BigInt(plain(distance));
  });
  const entityRows = new Table({
    airport: vectorFromArray(
      rows.map(({ prediction }) => String(plain(prediction.entityKeys.airport))),
      new Utf8(),
    ),
    event_time: timestamps(rows.map(({ departedAt }) => departedAt)),
    departed_at: timestamps(rows.map(({ departedAt }) => departedAt)),
    distance: makeVector(BigInt64Array.from(distances)),
  });
  const parts: Uint8Array[] = [];
  const answers = features.getTrainingSet(
    {
      selection: { case: "featureService", value: featureService },
      entityRows: { rows: { case: "arrow", value: tableToIPC(entityRows, "stream") }, eventTime: "event_time" },
      asOf: AsOf.KNOWN_AT,
    },
    { timeoutMs: 120_000 },
  );
  for await (const { part } of answers) if (part.case === "arrow") parts.push(part.value);
  const offline = tableFromIPC(Buffer.concat(parts));
  let compared = 0;
  rows.forEach(({ prediction }, index) => {
    for (const feature of prediction.features) {
      const column = offline.getChild(feature.name);
      const value: unknown = column?.get(index) ?? null;
      const served = feature.value === undefined ? null : plain(feature.value);
      if (!equal(served, value)) throw new SkewError(prediction.id, feature.name, served, value);
      compared++;
    }
  });
  return compared;
};

/** A column of instants. Each has a buffer of its own: Arrow writes one that two columns share only once. */
const timestamps = (valuesUs: readonly bigint[]): Vector =>
  makeVector(
    makeData({ type: new TimestampMicrosecond(), length: valuesUs.length, data: BigInt64Array.from(valuesUs) }),
  );

const equal = (served: unknown, offline: unknown): boolean => {
  if (served === null || offline === null) return served === offline;
  const [a, b] = [Number(served), Number(offline)];
  return Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b));
};

const plain = (value: Value | undefined): string | number | bigint | boolean => {
  const inner = value?.value;
  switch (inner?.case) {
    case "string":
    case "int64":
    case "double":
    case "float":
    case "bool":
    case "timestampUs":
      return inner.value;
    default:
      return "";
  }
};

const shown = (feature: ServedFeature): string => {
  if (feature.value === undefined) return "null";
  const value = plain(feature.value);
  return typeof value === "number" ? value.toFixed(3) : String(value);
};

const microseconds = ({ eventTime }: Prediction): bigint =>
  (eventTime?.seconds ?? 0n) * 1_000_000n + BigInt(Math.floor((eventTime?.nanos ?? 0) / 1000));

const timeOf = (prediction: Prediction): string => new Date(Number(microseconds(prediction) / 1000n)).toISOString();
