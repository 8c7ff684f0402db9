import type { ColumnValues } from "@millrace/contracts/millrace/feature/v1/column";
import type { GetFeaturesResponse } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { FeatureBinding, FeatureInput } from "@millrace/contracts/millrace/model/v1/model_package";
import type { Tensor } from "@millrace/tensor";
import { BrokenCircuitError } from "cockatiel";
import type { Servable } from "../serving/servable.ts";
import { applyFeatureRule, type RuledFeature, unavailableColumn } from "./apply-feature-rule.ts";
import { featureColumn, type ReadableColumn, requestColumn } from "./column-rows.ts";
import { featureRule, featureViewOf } from "./feature-policy.ts";
import type { FeatureReader } from "./feature-reader.ts";
import { graphInputs } from "./graph-inputs.ts";
import {
  FeatureMissingError,
  FeaturesUnavailableError,
  NoFeaturesError,
  PredictRequestInvalidError,
} from "./predict-errors.ts";
import { type EntityColumns, rowsOfRequest } from "./request-rows.ts";

/** How a call to feature-serving ended: SKIPPED where none was made, since those before it failed. */
export type FeatureOutcome = "SERVED" | "UNAVAILABLE" | "SKIPPED" | "FAILED";

/** What became of a value: why it was not there, and what was done about it where that was no null. */
export type FeatureEvent = "MISSING" | "STALE" | "UNAVAILABLE" | "DEFAULTED" | "REFUSED";

/** What reading features tells. It must not throw. */
export interface FeatureObserver {
  onCall(outcome: FeatureOutcome, seconds: number): void;
  /** @param values rows times features of the view. */
  onValues(model: string, featureView: string, event: FeatureEvent, values: number): void;
}

export interface FeatureReading {
  /** Undefined where no feature-serving was named. */
  readonly features: FeatureReader | undefined;
  /** Longest time that reading features may take, in ms. */
  readonly featureTimeoutMs: number;
  /** The clock, in epoch ms. */
  readonly nowMs: () => number;
  readonly observer: FeatureObserver;
}

/** How long a call may take, and whether it still has someone who waits. */
export interface FeatureDeadline {
  /** Epoch ms; undefined where the caller set none. */
  readonly deadlineMs?: number | undefined;
  readonly signal: AbortSignal;
}

/** One feature as it was served. */
export interface ServedFeatureColumn {
  readonly name: string;
  /** One FeatureStatus a row. */
  readonly statuses: Uint8Array;
  readonly eventTimesUs: bigint[];
  /** As the model reads them. */
  readonly values: ColumnValues | undefined;
  /** One byte a row, 1 where the deployment's default went in; empty where it did in none. */
  readonly defaulted: Uint8Array;
}

/** The features of some rows, and the graph's inputs that they fill. */
export interface FeatureRows {
  readonly rows: number;
  /** In the model's order, each of shape [rows, 1]. */
  readonly inputs: Tensor[];
  readonly entities: readonly ReadableColumn[];
  /** What the model reads, by name: features under the deployment's policy, and columns of the request. */
  readonly columns: ReadonlyMap<string, ReadableColumn>;
  readonly served: readonly ServedFeatureColumn[];
  readonly binding: FeatureBinding;
  /** Empty where feature-serving did not answer. */
  readonly featureServiceVersion: string;
  readonly featuresAsOf: string;
}

/**
 * Reads the features of rows of entities in one call to feature-serving, puts the deployment's policy in force on what is
 * missing, stale or unavailable, and fills the graph's inputs. The call takes the deployment's share of the deadline at
 * most, so that the rest is left to the model.
 *
 * @throws NoFeaturesError where the model's package reads none; PredictRequestInvalidError; FeaturesUnavailableError where
 *   feature-serving does not answer and the policy refuses that; FeatureMissingError where it refuses a row, and where
 *   null cannot be said in an input's datatype; and what feature-serving refuses the caller's columns with.
 */
export const readFeatures = async (
  reading: FeatureReading,
  served: Servable,
  subject: EntityColumns,
  deadline: FeatureDeadline,
): Promise<FeatureRows> => {
  const binding = served.origin.manifest?.features;
  if (binding === undefined) throw new NoFeaturesError(served.name, "its package names no features; use ModelInfer.");
  if (reading.features === undefined) throw new NoFeaturesError(served.name, "this service has no feature-serving.");
  const entities = subject.entities.map((column, index) => requestColumn(column, `entities[${index}]`));
  const columns = new Map<string, ReadableColumn>();
  for (const [index, column] of subject.request.entries()) {
    columns.set(column.name, requestColumn(column, `request[${index}]`));
  }
  const rows = rowsOfRequest(subject);

  const answer = await ask(reading, reading.features, served, binding, subject, deadline);
  const unavailable = answer instanceof FeaturesUnavailableError ? answer : undefined;
  const columnsServed =
    answer instanceof FeaturesUnavailableError
      ? unavailableColumns(served.name, binding, columns, answer)
      : answeredColumns(answer, binding);
  const ruled = underPolicy(reading.observer, served, binding, columnsServed, rows, unavailable);
  for (const [name, { column }] of ruled) columns.set(name, column);

  let inputs: Tensor[];
  try {
    inputs = graphInputs(served.name, binding.inputs, served.inputs, columns, rows);
  } catch (error) {
    // What is away now may be there later: the caller may try again.
    if (unavailable === undefined || !(error instanceof FeatureMissingError)) throw error;
    throw new FeaturesUnavailableError(`${unavailable.message} ${error.message}`, 1000, unavailable);
  }
  return {
    rows,
    inputs,
    entities,
    columns,
    served: [...ruled].map(([name, { column, defaulted }]) => ({
      name,
      statuses: Uint8Array.from({ length: rows }, (_, row) => column.status(row)),
      eventTimesUs: Array.from({ length: rows }, (_, row) => column.eventTimeUs(row) ?? 0n),
      values: column.values.values.case === undefined ? undefined : column.values,
      defaulted: defaulted ?? new Uint8Array(),
    })),
    binding,
    featureServiceVersion: answer instanceof FeaturesUnavailableError ? "" : answer.featureServiceVersion,
    featuresAsOf: answer instanceof FeaturesUnavailableError ? "" : answer.asOf,
  };
};

/** One call of GetFeatures; answers that it was not answered, and throws everything else. */
const ask = async (
  { featureTimeoutMs, nowMs, observer }: FeatureReading,
  features: FeatureReader,
  { policy }: Servable,
  { featureService, featureServiceVersion }: FeatureBinding,
  { entities, request, atUs }: EntityColumns,
  { deadlineMs, signal }: FeatureDeadline,
): Promise<GetFeaturesResponse | FeaturesUnavailableError> => {
  const leftMs = deadlineMs === undefined ? Number.POSITIVE_INFINITY : Math.max(1, deadlineMs - nowMs());
  const askedMs = performance.now();
  const tell = (outcome: FeatureOutcome) => observer.onCall(outcome, (performance.now() - askedMs) / 1000);
  try {
    const answer = await features.getServiceFeatures(
      featureService,
      featureServiceVersion,
      {
        entities: [...entities],
        request: [...request],
        atUs: [...atUs],
        withEventTimes: true,
      },
      Math.min(featureTimeoutMs, leftMs * policy.deadlineShare),
      signal,
    );
    tell("SERVED");
    return answer;
  } catch (error) {
    if (!(error instanceof FeaturesUnavailableError)) {
      tell("FAILED");
      throw error;
    }
    tell(error.cause instanceof BrokenCircuitError ? "SKIPPED" : "UNAVAILABLE");
    return error;
  }
};

const answeredColumns = ({ features }: GetFeaturesResponse, { inputs }: FeatureBinding): ReadableColumn[] => {
  const neverNull = new Set(inputs.filter((input) => input.neverNull).map(({ feature }) => feature));
  return features.map((column) => featureColumn(column, neverNull.has(column.name)));
};

/** The features that the model would have read. @throws PredictRequestInvalidError where a column of the request is not given. */
const unavailableColumns = (
  model: string,
  { inputs }: FeatureBinding,
  given: ReadonlyMap<string, ReadableColumn>,
  unavailable: FeaturesUnavailableError,
): ReadableColumn[] => {
  const read = inputs.filter(({ feature }) => !given.has(feature));
  const notGiven = read.find((input) => featureViewOf(input) === "");
  if (notGiven !== undefined) {
    throw new PredictRequestInvalidError("request", `a column ${notGiven.feature}, which ${model} reads`, "none", {
      cause: unavailable,
    });
  }
  return read.map(({ feature }) => unavailableColumn(feature));
};

/** Puts the policy in force on each feature, tells what it met, and then refuses what is to be refused. */
const underPolicy = (
  observer: FeatureObserver,
  { name: model, policy }: Servable,
  { inputs }: FeatureBinding,
  columns: readonly ReadableColumn[],
  rows: number,
  unavailable: FeaturesUnavailableError | undefined,
): Map<string, Pick<RuledFeature, "column" | "defaulted">> => {
  const bindings = new Map<string, FeatureInput>(inputs.map((input) => [input.feature, input]));
  const ruled = new Map<string, Pick<RuledFeature, "column" | "defaulted">>();
  let refusal: Error | undefined;
  for (const column of columns) {
    const input = bindings.get(column.name);
    if (input === undefined) {
      ruled.set(column.name, { column, defaulted: undefined });
      continue;
    }
    const result = applyFeatureRule(column, featureRule(policy.features, input), input.type, rows);
    ruled.set(column.name, result);
    const counts = { ...result.gaps, DEFAULTED: result.defaultedRows, REFUSED: result.refusedRows };
    for (const [event, values] of Object.entries(counts) as [FeatureEvent, number][]) {
      if (values > 0) observer.onValues(model, featureViewOf(input), event, values);
    }
    if (result.refused !== undefined && refusal === undefined) {
      const { row, gap } = result.refused;
      refusal =
        gap === "UNAVAILABLE" && unavailable !== undefined
          ? unavailable
          : new FeatureMissingError(column.name, row, gap === "STALE" ? "OUTSIDE_MAX_AGE" : "NOT_FOUND");
    }
  }
  if (refusal !== undefined) throw refusal;
  return ruled;
};
