import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { MillraceError } from "@millrace/errors";
import { describeModel, type InputDatatype, type NetworkInput, readModel } from "@millrace/onnx";
import type { FeatureColumn } from "../dataset/training-table.ts";
import { PackageModel } from "../evaluation/score-rows.ts";
import { TrainerFailedError } from "./trainer-failed-error.ts";

const file = "MILLRACE_OUTPUT/model.onnx";
const triedRows = 256;
const rowsAlone = 16;

const refuse = (expected: string, got: string, cause?: unknown): TrainerFailedError =>
  new TrainerFailedError(file, `${file}: expected ${expected}, got ${got}.`, cause);

/** What is read of a model that a program has left. */
export interface TrainedGraph {
  /** In the model's order. */
  readonly inputs: readonly NetworkInput[];
  readonly outputName: string;
  /** What wrote the file, as it says of itself. */
  readonly producer: string;
}

/**
 * Reads a model that a program has left. Each input has to be a feature by its name, of shape
 * [rows, 1] and of a datatype that the feature's values fit in without loss of a null.
 * @param known all features, as our own networks would read them.
 * @throws TrainerFailedError
 */
export const readTrained = (model: Uint8Array, known: readonly NetworkInput[]): TrainedGraph => {
  const { signature, producer } = describe(model);
  const [output] = signature.outputs;
  if (output?.datatype !== "FP32" || (output.shape.length > 0 && !isColumn(output.shape))) {
    const expected = "a first output FP32 of shape [rows, 1], the probability of the label or the estimate";
    throw refuse(expected, `${output?.name} ${output?.datatype} of shape ${shapeText(output?.shape ?? [])}`);
  }
  const inputs = signature.inputs.map(({ name, datatype, shape }) => {
    const feature = known.find((input) => input.name === name);
    if (feature === undefined) {
      const names = known.map((input) => input.name).join(", ");
      throw refuse(`inputs that are features by their names (${names})`, `the input ${name}`);
    }
    const allowed = datatypesFor(feature.datatype);
    if (!allowed.includes(datatype) || !isColumn(shape)) {
      const expected = `the input ${name} of ${allowed.join(" or ")} and shape [rows, 1]`;
      throw refuse(expected, `${datatype} of shape ${shapeText(shape)}`);
    }
    return { ...feature, datatype: datatype as InputDatatype };
  });
  return { inputs, outputName: output.name, producer };
};

/** Floating point holds every number and, as NaN, its null; others only what was never null. */
const datatypesFor = (datatype: InputDatatype): readonly string[] =>
  datatype === "BYTES" ? ["BYTES"] : [...new Set([datatype, "FP64", "FP32"])];

const isColumn = (shape: readonly bigint[]): boolean => shape.length === 2 && shape[0] === -1n && shape[1] === 1n;

const shapeText = (shape: readonly bigint[]): string =>
  `[${shape.map((size) => (size === -1n ? "rows" : String(size))).join(", ")}]`;

const describe = (model: Uint8Array) => {
  try {
    const read = readModel(model);
    const { producerName, producerVersion } = read;
    const producer = [producerName || "unknown", producerVersion].filter(Boolean).join(" ");
    return { signature: describeModel(read), producer };
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    throw refuse("an ONNX model", error.message, error);
  }
};

/**
 * Runs the model on some rows: it has to answer with finite numbers, with probabilities where the label is binary, and
 * for a row alone as for the row among others.
 * @throws TrainerFailedError
 */
export const tryModel = async (
  model: Uint8Array,
  inputs: readonly NetworkInput[],
  columns: readonly FeatureColumn[],
  rows: Uint32Array,
  task: Task,
  signal: AbortSignal,
): Promise<void> => {
  const scored = inputs.flatMap(({ name, datatype }, place) => {
    const column = columns[place];
    return column === undefined ? [] : [{ name, datatype, column }];
  });
  const opened = await PackageModel.open(model, scored).catch((error: unknown) => {
    throw refuse("a model that onnxruntime opens", errorText(error), error);
  });
  try {
    const tried = rows.subarray(0, triedRows);
    const answer = (some: Uint32Array) =>
      opened.score(some, signal).catch((error: unknown) => {
        signal.throwIfAborted();
        throw refuse("a model that answers rows of the validation split", errorText(error), error);
      });
    const scores = await answer(tried);
    const [least, most] = task === Task.BINARY ? [0, 1] : [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    const wrong = scores.find((score) => !Number.isFinite(score) || score < least || score > most);
    if (wrong !== undefined) {
      throw refuse(task === Task.BINARY ? "probabilities from 0 to 1" : "finite estimates", String(wrong));
    }
    for (let place = 0; place < Math.min(rowsAlone, tried.length); place++) {
      const [alone = Number.NaN] = await answer(tried.subarray(place, place + 1));
      const among = scores[place] ?? Number.NaN;
      if (Math.abs(alone - among) > 1e-5 * Math.max(1, Math.abs(among))) {
        throw refuse("the same answer for a row alone and among others", `${alone} and ${among}`);
      }
    }
  } finally {
    await opened.close();
  }
};

const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));
