import { randomUUID } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import {
  type PredictionService,
  type PredictRequest,
  PredictRequestSchema,
} from "@millrace/contracts/millrace/inference/v1/prediction_service";
import type { CallContext, Unary } from "@millrace/grpc";
import { ModelInvalidError, type Tensor } from "@millrace/tensor";
import { rowsOf } from "../execution/batch-rows.ts";
import { calibratedOutput } from "../prediction/calibrated-outputs.ts";
import { requestColumn, valueAt } from "../prediction/column-rows.ts";
import { PredictRequestInvalidError } from "../prediction/predict-errors.ts";
import type { PredictionLog } from "../prediction/prediction-log.ts";
import { isSampled, loggablePredictions } from "../prediction/prediction-records.ts";
import { type FeatureReading, readFeatures } from "../prediction/read-features.ts";
import { rowsOfRequest } from "../prediction/request-rows.ts";
import { type Caller, type InferencePath, MessageTooLargeError } from "../serving/inference-path.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import type { Servable } from "../serving/servable.ts";
import { callerOf } from "./model-infer.ts";

export interface Predicting extends FeatureReading {
  readonly roster: ModelRoster;
  readonly path: InferencePath;
  /** Undefined where predictions are not logged. */
  readonly log: PredictionLog | undefined;
}

/**
 * Predicts for entities: one call to feature-serving for all rows, the graph's inputs filled as the package's binding
 * says, the model run through the same lane as tensors, and the prediction logged.
 */
export const predict =
  (parts: Predicting): Unary<typeof PredictionService.method.predict> =>
  async (request, call) => {
    const caller: Caller = { ...callerOf(call), entity: (name) => firstKey(request, name) };
    const served = parts.roster.find(request.model, "", caller);
    const release = served.lease();
    try {
      return await predictWith(parts, served, request, call, caller);
    } finally {
      release();
    }
  };

const predictWith = async (
  parts: Predicting,
  served: Servable,
  request: PredictRequest,
  call: CallContext,
  caller: Caller,
) => {
  const arrivedMs = parts.nowMs();
  const startedMs = performance.now();
  limitSize(served, request);
  const { sampling, acknowledge } = served.policy;
  const ids = predictionIds(request, rowsOfRequest(request));
  const features = await readFeatures(parts, served, request, call);
  const { rows, inputs, binding } = features;
  const outputs = await runRows(parts.path, served, inputs, rows, caller);
  const calibrated = calibratedOutput(served.origin.manifest, outputs);

  if (parts.log !== undefined) {
    const sampled = ids.flatMap((id, row) => (isSampled(id, sampling) ? row : []));
    const records = loggablePredictions(
      {
        served,
        bindings: binding.inputs,
        ids,
        eventTimesUs: eventTimes(request, rows, arrivedMs),
        entities: features.entities,
        columns: features.columns,
        outputs,
        calibrated,
        answeredMs: parts.nowMs(),
        latencyMs: performance.now() - startedMs,
        traceId: call.traceId,
        featureService: binding.featureService,
        featureServiceVersion: features.featureServiceVersion,
        featuresAsOf: features.featuresAsOf,
      },
      sampled,
    );
    if (acknowledge === "BEFORE_RESPONSE") await parts.log.append(records);
    else parts.log.offer(records);
  }
  return {
    predictionIds: ids,
    outputs: outputs.map((output) => {
      const { name, datatype, shape, data } = output.name === calibrated?.name ? calibrated.tensor : output;
      return { name, datatype, shape: shape.map(BigInt), data };
    }),
    features: features.served.map(({ values, ...served }) => ({
      ...served,
      ...(request.withFeatures && values !== undefined ? { values } : {}),
    })),
    modelVersion: served.version,
    packageDigest: served.origin.digest,
    featuresAsOf: features.featuresAsOf,
  };
};

/** @throws MessageTooLargeError where the deployment takes no message of that size. */
const limitSize = ({ name, maxMessageBytes }: Servable, request: PredictRequest): void => {
  if (maxMessageBytes === undefined) return;
  const bytes = toBinary(PredictRequestSchema, request).byteLength;
  if (bytes > maxMessageBytes) throw new MessageTooLargeError(name, maxMessageBytes, bytes);
};

/** Runs all rows, in as many runs as the model's batch size asks for; rows of a model that joins none run alone. */
const runRows = async (
  path: InferencePath,
  served: Servable,
  inputs: readonly Tensor[],
  rows: number,
  caller: Caller,
): Promise<Tensor[]> => {
  const step = served.batched ? served.maxBatchSize : 1;
  const parts: Promise<Tensor[]>[] = [];
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const part = inputs.map((input) => rowsOf(input, first, count));
    parts.push(
      path.runOn({ served, id: "", inputs: part, rows: count, caller, byEntity: true }, (outputs) =>
        outputs.map((output) => {
          if (output.shape[0] !== count) {
            throw new ModelInvalidError(
              `The output ${output.name} has no row for each row of input: Predict needs one.`,
            );
          }
          return { ...output, data: output.data.slice() };
        }),
      ),
    );
  }
  const runs = await Promise.all(parts);
  const [only] = runs;
  if (runs.length === 1 && only !== undefined) return only;
  return served.outputs.map(({ name, datatype, shape }, index) => {
    const pieces = runs.flatMap((outputs) => outputs[index] ?? []);
    const data = Buffer.concat(pieces.map((piece) => piece.data));
    const [first] = pieces;
    const rest = first?.shape.slice(1) ?? shape.slice(1);
    return { name, datatype, shape: [rows, ...rest], data };
  });
};

/** The first value of an entity key, as text. */
const firstKey = (request: PredictRequest, name: string): string | undefined => {
  const column = request.entities.find((column) => column.name === name);
  if (column === undefined) return undefined;
  const value = valueAt(requestColumn(column, `entities.${name}`), 0)?.value;
  return value?.value === undefined ? undefined : String(value.value);
};

/** @throws PredictRequestInvalidError where ids were given and are not one a row, empty, too long, or given twice. */
const predictionIds = ({ predictionIds: given }: PredictRequest, rows: number): string[] => {
  if (given.length === 0) return Array.from({ length: rows }, () => randomUUID());
  if (given.length !== rows) {
    throw new PredictRequestInvalidError("prediction_ids", `none, or one a row (${rows})`, `${given.length}`);
  }
  const seen = new Set<string>();
  for (const [index, id] of given.entries()) {
    if (id === "" || seen.has(id)) {
      throw new PredictRequestInvalidError(
        `prediction_ids[${index}]`,
        "an id that no other row has",
        id === "" ? "nothing" : id,
      );
    }
    const bytes = Buffer.byteLength(id);
    if (bytes > maxIdBytes || id.includes("\0")) {
      throw new PredictRequestInvalidError(
        `prediction_ids[${index}]`,
        `at most ${maxIdBytes} bytes, none of them 0`,
        `${bytes} bytes`,
      );
    }
    seen.add(id);
  }
  return given;
};

/** Whoever joins labels to predictions takes no longer ids. */
const maxIdBytes = 512;

const eventTimes = ({ atUs }: PredictRequest, rows: number, nowMs: number): bigint[] => {
  const nowUs = BigInt(Math.round(nowMs * 1000));
  return Array.from({ length: rows }, (_, row) => atUs[atUs.length === 1 ? 0 : row] ?? nowUs);
};
