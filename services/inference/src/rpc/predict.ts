import { randomUUID } from "node:crypto";
import type { PredictionService, PredictRequest } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import type { CallContext, Unary } from "@millrace/grpc";
import { ModelInvalidError, type Tensor } from "@millrace/tensor";
import { rowsOf } from "../execution/batch-rows.ts";
import { featureColumn, type ReadableColumn, requestColumn, rowCount, valueAt } from "../prediction/column-rows.ts";
import type { FeatureReader } from "../prediction/feature-reader.ts";
import { graphInputs } from "../prediction/graph-inputs.ts";
import { NoFeaturesError, PredictRequestInvalidError } from "../prediction/predict-errors.ts";
import type { PredictionLog } from "../prediction/prediction-log.ts";
import { isSampled, predictionRecords } from "../prediction/prediction-records.ts";
import type { Caller, InferencePath } from "../serving/inference-path.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import type { Servable } from "../serving/servable.ts";
import { callerOf } from "./model-infer.ts";

export interface Predicting {
  readonly roster: ModelRoster;
  readonly path: InferencePath;
  /** Undefined where no feature-serving was named. */
  readonly features: FeatureReader | undefined;
  /** Undefined where predictions are not logged. */
  readonly log: PredictionLog | undefined;
  /** Longest time that reading features may take, in ms. */
  readonly featureTimeoutMs: number;
  /** The clock, in epoch ms. */
  readonly nowMs: () => number;
  /** Is told of each call to feature-serving. */
  readonly onFeatures?: (outcome: "served" | "failed", seconds: number) => void;
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
  const binding = served.origin.manifest?.features;
  if (binding === undefined) throw new NoFeaturesError(request.model, "its package names no features; use ModelInfer.");
  if (parts.features === undefined) throw new NoFeaturesError(request.model, "this service has no feature-serving.");
  const { onMissing, deadlineShare, sampling, acknowledge } = served.policy;
  const entities = request.entities.map((column, index) => requestColumn(column, `entities[${index}]`));
  const requestColumns = request.request.map((column, index) => requestColumn(column, `request[${index}]`));
  const rows = rowsOfRequest(request);
  const ids = predictionIds(request, rows);
  const eventTimesUs = eventTimes(request, rows, arrivedMs);

  const leftMs = call.deadlineMs === undefined ? Infinity : Math.max(1, call.deadlineMs - parts.nowMs());
  const askedMs = performance.now();
  const answer = await parts.features
    .getFeatures(
      {
        selection: { case: "featureService", value: binding.featureService },
        entities: request.entities,
        request: request.request,
        atUs: request.atUs,
        withEventTimes: true,
      },
      Math.min(parts.featureTimeoutMs, leftMs * deadlineShare),
      call.signal,
    )
    .catch((error: unknown) => {
      parts.onFeatures?.("failed", (performance.now() - askedMs) / 1000);
      throw error;
    });
  parts.onFeatures?.("served", (performance.now() - askedMs) / 1000);
  const columns = new Map<string, ReadableColumn>();
  for (const column of requestColumns) columns.set(column.name, column);
  const neverNull = new Set(binding.inputs.filter((input) => input.neverNull).map(({ feature }) => feature));
  for (const column of answer.features) columns.set(column.name, featureColumn(column, neverNull.has(column.name)));

  const inputs = graphInputs(request.model, binding.inputs, served.inputs, columns, rows, onMissing === "REFUSE");
  const outputs = await runRows(parts.path, served, inputs, rows, caller);

  if (parts.log !== undefined) {
    const sampled = ids.flatMap((id, row) => (isSampled(id, sampling) ? row : []));
    const records = predictionRecords(
      {
        served,
        bindings: binding.inputs,
        ids,
        eventTimesUs,
        entities,
        columns,
        outputs,
        answeredMs: parts.nowMs(),
        latencyMs: performance.now() - startedMs,
        traceId: call.traceId,
        featureService: binding.featureService,
        featureServiceVersion: answer.featureServiceVersion,
        featuresAsOf: answer.asOf,
      },
      sampled,
    );
    if (acknowledge === "BEFORE_RESPONSE") await parts.log.append(records);
    else parts.log.offer(records);
  }
  return {
    predictionIds: ids,
    outputs: outputs.map(({ name, datatype, shape, data }) => ({ name, datatype, shape: shape.map(BigInt), data })),
    features: answer.features.map(({ name, statuses, eventTimesUs: timesUs, values }) => ({
      name,
      statuses,
      eventTimesUs: timesUs,
      ...(request.withFeatures && values !== undefined ? { values } : {}),
    })),
    modelVersion: served.version,
    packageDigest: served.origin.digest,
    featuresAsOf: answer.asOf,
  };
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
      path.runOn({ served, id: "", inputs: part, rows: count, caller }, (outputs) =>
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

/** @throws PredictRequestInvalidError where the columns have no rows, or differ in length. */
const rowsOfRequest = (request: PredictRequest): number => {
  const [first] = [...request.entities, ...request.request];
  if (first === undefined) throw new PredictRequestInvalidError("entities", "one column for each entity key", "none");
  const rows = rowCount(first.values);
  for (const [list, columns] of Object.entries({ entities: request.entities, request: request.request })) {
    for (const [index, column] of columns.entries()) {
      const own = rowCount(column.values);
      if (own !== rows)
        throw new PredictRequestInvalidError(
          `${list}[${index}].values`,
          `${rows} rows, as ${first.name} has`,
          `${own}`,
        );
    }
  }
  if (rows === 0) throw new PredictRequestInvalidError("entities", "at least one row", "none");
  return rows;
};

/** @throws PredictRequestInvalidError where ids were given and are not one a row, empty, or given twice. */
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
    seen.add(id);
  }
  return given;
};

const eventTimes = ({ atUs }: PredictRequest, rows: number, nowMs: number): bigint[] => {
  if (atUs.length > 1 && atUs.length !== rows) {
    throw new PredictRequestInvalidError("at_us", `none, one, or one a row (${rows})`, `${atUs.length}`);
  }
  const nowUs = BigInt(Math.round(nowMs * 1000));
  return Array.from({ length: rows }, (_, row) => atUs[atUs.length === 1 ? 0 : row] ?? nowUs);
};
