import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  AsOf,
  type EntityRows,
  EntityRowsSchema,
  GetFeaturesRequestSchema,
  GetRepositoryResponseSchema,
  GetTrainingSetRequestSchema,
  type VerifyFeaturesRequest,
  type VerifyFeaturesResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { CompiledField, Scalar } from "@millrace/feature-definition";
import { type Table, tableFromIPC, Vector } from "apache-arrow";
import { packColumn } from "../column-values.ts";
import type { FeaturePlan } from "../feature-plan.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { readFeatures } from "../read-features.ts";
import { selectService } from "../select-service.ts";
import { isCount } from "../served-fields.ts";
import { type TrainingSetThreadData, trainingSetInThread } from "../training-set/training-set-thread.ts";
import { drawInThread } from "./draw-thread.ts";
import { differenceOf, messageOf } from "./equal-values.ts";

type Part = MessageInitShape<typeof VerifyFeaturesResponseSchema>;

/** Thrown where a verification has nothing to compare. */
export class NotVerifiableError extends MillraceError {
  constructor(service: string, why: string) {
    super("FAILED_PRECONDITION", Reason.DEFINITION_INVALID, `${service} cannot be verified: ${why}`, {
      resource: { kind: "feature service", name: service },
    });
  }
}

const defaultEntities = 100;
const defaultTolerance = 1e-9;

/** More mismatches than these are counted and not told one by one. */
const mostMismatches = 1000;

interface Compared {
  compared: number;
  mismatched: number;
  greatest: number;
}

/**
 * Compares what is served online with what the offline engine computes from the sources' files, for the same entities and
 * times. Rows that have gone on past their time cannot be compared, and are counted. Features that are computed on demand
 * follow from the others and from the caller's columns: they are left out.
 * @throws NotVerifiableError, and what drawing, GetTrainingSet and GetFeatures throw.
 */
export async function* verifyFeatures(
  serving: FeatureServing,
  request: VerifyFeaturesRequest,
  signal: AbortSignal,
): AsyncGenerator<Part> {
  const { catalogue, batchData, nowUs } = serving;
  const { applied, repository, answering } = catalogue.definitions();
  const name = request.featureService;
  if (answering !== repository) throw new NotVerifiableError(name, "a view is still filled; wait until it serves.");
  const service = selectService(repository, { case: "featureService", value: name });
  const stored = service.features.filter(({ view }) => repository.views.get(view)?.online === true);
  if (stored.length === 0) throw new NotVerifiableError(name, "none of its features is kept online.");
  const references = stored.map(({ view, feature }) => `${view}.${feature}`);
  const seed = request.seed === 0n ? BigInt(nowUs()) : request.seed;
  const definitions = toBinary(GetRepositoryResponseSchema, applied);
  yield progress("drawing entities", 0);
  const count = request.entities || defaultEntities;
  const entityRows =
    request.entityRows ??
    create(EntityRowsSchema, {
      rows: {
        case: "arrow",
        value: await drawInThread({ applied: definitions, references, count, seed, batchData }, signal),
      },
    });
  yield progress("computing offline", 0);
  await serving.tombstones.refresh();
  const tombstones = serving.tombstones.data();
  const table = await computed({ applied: definitions, batchData, tombstones }, references, entityRows, signal);
  const plan = catalogue.referencesPlan(references);
  const rows = table.numRows;
  const results = plan.outputs.map((): Compared => ({ compared: 0, mismatched: 0, greatest: 0 }));
  let skipped = 0;
  let told = 0;
  for (let row = 0; row < rows; row++) {
    signal.throwIfAborted();
    const keys = plan.entityKeys.map((field) => valueAt(table, field.name, row, field.type));
    const atUs = valueAt(table, entityRows.eventTime || "event_time", row, ValueType.TIMESTAMP) as bigint;
    const served = await servedRow(serving, plan, keys, atUs, signal);
    if (served === undefined) {
      skipped++;
      continue;
    }
    for (const [index, { name: feature, type }] of plan.outputs.entries()) {
      const result = results[index];
      const own = served[index];
      const reference = stored[index];
      if (result === undefined || own === undefined || reference === undefined) continue;
      const offline = valueAt(table, feature, row, type);
      const view = repository.views.get(reference.view);
      const neverNull = view !== undefined && isCount(view, reference.feature);
      const online = own.status === FeatureStatus.PRESENT || neverNull ? own.value : null;
      const { isEqual, relative } = differenceOf(online, offline, request.tolerance || defaultTolerance);
      result.compared++;
      result.greatest = Math.max(result.greatest, relative);
      if (isEqual) continue;
      result.mismatched++;
      if (told++ >= mostMismatches) continue;
      yield {
        part: {
          case: "mismatch",
          value: {
            feature,
            keys: keysOf(plan.entityKeys, keys),
            atUs,
            servedStatus: own.status,
            ...optional("served", messageOf(online, type)),
            ...optional("computed", messageOf(offline, type)),
          },
        },
      };
    }
    if (row % 100 === 99) yield progress("comparing", row + 1, rows);
  }
  yield {
    part: {
      case: "summary",
      value: {
        seed,
        rows: BigInt(rows),
        skippedRows: BigInt(skipped),
        features: plan.outputs.map(({ name: feature }, index) => ({
          name: feature,
          compared: BigInt(results[index]?.compared ?? 0),
          mismatched: BigInt(results[index]?.mismatched ?? 0),
          greatestDifference: results[index]?.greatest ?? 0,
        })),
      },
    },
  };
}

const progress = (phase: string, rows: number, totalRows = 0): Part => ({
  part: { case: "progress", value: { phase, rows: BigInt(rows), totalRows: BigInt(totalRows) } },
});

const computed = async (
  given: Omit<TrainingSetThreadData, "request">,
  references: readonly string[],
  entityRows: EntityRows,
  signal: AbortSignal,
): Promise<Table> => {
  const selection = { case: "references" as const, value: { features: [...references] } };
  const request = create(GetTrainingSetRequestSchema, { selection, entityRows, asOf: AsOf.EVENT_TIME });
  const parts: Uint8Array[] = [];
  const data = { ...given, request: toBinary(GetTrainingSetRequestSchema, request) };
  for await (const part of trainingSetInThread(data, signal)) if (part.kind === "arrow") parts.push(part.bytes);
  return tableFromIPC(Buffer.concat(parts));
};

/** What is served for one row; undefined where its state has gone on past the time. */
const servedRow = async (
  { online, nowUs, maxValues }: FeatureServing,
  plan: FeaturePlan,
  keys: readonly Scalar[],
  atUs: bigint,
  signal: AbortSignal,
): Promise<readonly { readonly value: Scalar; readonly status: FeatureStatus }[] | undefined> => {
  const entities = plan.entityKeys.map(({ name, type }, index) => ({
    name,
    values: packColumn([keys[index] ?? null], type),
    nulls: keys[index] === null ? Uint8Array.of(1) : new Uint8Array(),
  }));
  const request = create(GetFeaturesRequestSchema, { entities, atUs: [atUs] });
  try {
    const features = await readFeatures(plan, request, online, nowUs(), maxValues, signal);
    return features.map(({ column }) => ({ value: column.value(0), status: column.status(0) }));
  } catch (error) {
    if (error instanceof MillraceError && error.reason === Reason.TIME_IN_THE_PAST) return undefined;
    throw error;
  }
};

/** A value of the training set as this service holds it. Arrow's reader gives instants in milliseconds. */
const valueAt = (table: Table, column: string, row: number, type: ValueType): Scalar => {
  const vector = table.getChild(column);
  if (vector === null) throw new TypeError(`The training set has no column ${column}.`);
  return scalarOf(vector, row, type === ValueType.TIMESTAMP || type === ValueType.TIMESTAMP_LIST);
};

const scalarOf = (vector: Vector, row: number, isInstant: boolean): Scalar => {
  const value: unknown = vector.get(row);
  if (value === null || value === undefined) return null;
  if (value instanceof Vector) return Array.from({ length: value.length }, (_, at) => scalarOf(value, at, isInstant));
  return isInstant ? (instantAt(vector, row) ?? null) : (value as Scalar);
};

/** The microseconds themselves, out of the column's memory. */
const instantAt = (vector: Vector, row: number): bigint | undefined => {
  let first = 0;
  for (const { length, values } of vector.data) {
    if (row < first + length) return (values as BigInt64Array)[row - first];
    first += length;
  }
  return undefined;
};

const keysOf = (fields: readonly CompiledField[], keys: readonly Scalar[]) =>
  Object.fromEntries(fields.map(({ name, type }, index) => [name, messageOf(keys[index] ?? null, type) ?? {}]));

const optional = <K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } =>
  value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
