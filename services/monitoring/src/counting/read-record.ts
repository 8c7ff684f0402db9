import { fromBinary } from "@bufbuild/protobuf";
import {
  type Label,
  LabelSchema,
  type Prediction,
  PredictionSchema,
} from "@millrace/contracts/millrace/event/v1/event";
import type { LogRecord } from "@millrace/event-log";
import { MAX_ID_BYTES } from "../state-keys.ts";

/** A record that cannot be counted, and why. */
export interface Unusable {
  readonly reason: "MALFORMED";
  /** What was expected and what came. */
  readonly detail: string;
  /** Empty where it could not be read. */
  readonly model: string;
}

const unusable = (detail: string, model = ""): Unusable => ({ reason: "MALFORMED", detail, model });

const idProblem = (id: string): string | undefined => {
  if (id === "") return "expected an id, got none";
  if (id.includes("\0")) return "expected an id without zero bytes";
  if (Buffer.byteLength(id) > MAX_ID_BYTES) return `expected an id of at most ${MAX_ID_BYTES} bytes`;
  return undefined;
};

/** Event times outside of the years 1 to 9999 are no times. */
const isTime = (seconds: bigint): boolean => seconds >= -62_135_596_800n && seconds <= 253_402_300_799n;

/** Reads a record of the prediction topic. */
export const readPrediction = (record: LogRecord): Prediction | Unusable => {
  if (record.value === null) return unusable("expected a Prediction, got a record without a value");
  let prediction: Prediction;
  try {
    prediction = fromBinary(PredictionSchema, record.value);
  } catch (error) {
    return unusable(
      `expected a Prediction in protobuf encoding: ${error instanceof Error ? error.message : "unknown"}`,
    );
  }
  const { id, model, eventTime } = prediction;
  const problem = idProblem(id);
  if (problem !== undefined) return unusable(problem, model);
  if (model === "" || model.includes("\0") || model === "__proto__") return unusable("expected the name of a model");
  if (Buffer.byteLength(model) > 256 || prediction.packageDigest.length > 128)
    return unusable("expected a model name of at most 256 bytes and a digest of at most 128");
  if (eventTime === undefined || !isTime(eventTime.seconds)) return unusable("expected an event time", model);
  return prediction;
};

/** Reads a record of the label topic. */
export const readLabel = (record: LogRecord): Label | Unusable => {
  if (record.value === null) return unusable("expected a Label, got a record without a value");
  let label: Label;
  try {
    label = fromBinary(LabelSchema, record.value);
  } catch (error) {
    return unusable(`expected a Label in protobuf encoding: ${error instanceof Error ? error.message : "unknown"}`);
  }
  const problem = idProblem(label.predictionId);
  if (problem !== undefined) return unusable(problem);
  if (!Number.isFinite(label.value)) return unusable("expected a finite label");
  return label;
};

export const isUnusable = (read: Prediction | Label | Unusable): read is Unusable => "reason" in read;

/** Microseconds since 1970. */
export const eventTimeUsOf = ({ eventTime }: Prediction): bigint =>
  eventTime === undefined ? 0n : eventTime.seconds * 1_000_000n + BigInt(Math.floor(eventTime.nanos / 1000));
