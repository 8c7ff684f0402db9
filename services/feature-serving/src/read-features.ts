import { type Column, FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { MillraceError, Reason } from "@millrace/errors";
import type { CompiledExpression, CompiledField, Scalar } from "@millrace/feature-definition";
import { encodeEntityKey, ServedColumn, type ServedColumns, servedColumns } from "@millrace/feature-definition/stream";
import { ColumnInvalidError, readColumn } from "./column-values.ts";
import type { FeaturePlan, PlannedOnDemandView, PlannedView } from "./feature-plan.ts";
import type { RowReader } from "./row-cache.ts";

/** Thrown when a request asks for more values than one answer may hold. */
export class TooManyValuesError extends MillraceError {
  constructor(rows: number, features: number, maxValues: number) {
    super(
      "RESOURCE_EXHAUSTED",
      Reason.TOO_LARGE,
      `${rows} rows of ${features} features are ${rows * features} values; one answer holds at most ${maxValues}. Ask for fewer rows at once.`,
      { metadata: { rows: String(rows), features: String(features), maxValues: String(maxValues) } },
    );
  }
}

export interface FeatureRequest {
  readonly entities: readonly Column[];
  readonly request: readonly Column[];
  /** None (now), one for all rows, or one a row, in microseconds. */
  readonly atUs: readonly bigint[];
  readonly withEventTimes: boolean;
  readonly withExpiredValues: boolean;
}

/** One feature of an answer: a value a row. */
export interface ServedFeature {
  /** `view__feature`. */
  readonly name: string;
  readonly column: ServedColumn;
}

/** What GetFeatures answers. */
export interface FeaturesAnswer {
  readonly features: readonly ServedFeature[];
  readonly asOf: string;
  readonly featureServiceVersion: string;
  readonly withEventTimes: boolean;
}

/** Rows of views that are worked on before other calls get their turn. */
const sliceRows = 2000;

/**
 * Reads the features of a plan for each row of a request, in one round trip to the store; views that are joined by
 * a feature take one more, all together.
 * @throws ColumnInvalidError, TooManyValuesError, TimeInThePastError, StoreUnavailableError
 */
export async function readFeatures(
  plan: FeaturePlan,
  request: FeatureRequest,
  online: RowReader,
  nowUs: number,
  maxValues: number,
  signal?: AbortSignal,
): Promise<ServedFeature[]> {
  const entities = columnsOf(plan.entityKeys, request.entities, "entities");
  const requestColumns = columnsOf(plan.requestFields, request.request, "request");
  const rows = rowCount(plan, entities, requestColumns);
  if (rows * plan.outputs.length > maxValues) throw new TooManyValuesError(rows, plan.outputs.length, maxValues);
  const times = timesOf(request.atUs, rows);

  const served: ServedColumns[] = plan.views.map(({ stream, isRead }) =>
    servedColumns(
      stream.features.map(({ type }, index) => (isRead[index] === true ? type : undefined)),
      rows,
    ),
  );
  const options = { nowUs, withExpiredValues: request.withExpiredValues };
  let done = 0;
  const readViews = async (indices: readonly number[]): Promise<void> => {
    const keys: Uint8Array[] = [];
    const groups = new Map<string, DistinctKeys>();
    const slots = indices.map((index): { slotOfRow: Int32Array; first: number } => {
      const view = plan.views[index];
      if (view === undefined) throw new TypeError(`The plan has no view ${index}.`);
      const distinct = groups.get(view.keyGroup) ?? distinctKeys(view, rows, entities, served);
      groups.set(view.keyGroup, distinct);
      const first = keys.length;
      for (const entityKey of distinct.entityKeys) keys.push(view.rowKey(entityKey));
      return { slotOfRow: distinct.slotOfRow, first };
    });
    const stored = keys.length === 0 ? [] : await online.getMany(keys, signal);
    for (let at = 0; at < indices.length; at++) {
      const index = indices[at] ?? -1;
      const stream = plan.views[index]?.stream;
      const { slotOfRow, first } = slots[at] ?? {};
      const columns = served[index];
      if (stream === undefined || slotOfRow === undefined || first === undefined || columns === undefined) continue;
      for (let row = 0; row < rows; row++) {
        const slot = slotOfRow[row] ?? -1;
        stream.serveInto(columns, row, slot < 0 ? undefined : stored[first + slot], times?.[row], options);
        if (++done % sliceRows === 0) await nextTurn();
      }
    }
  };
  const indices = [...plan.views.keys()];
  await readViews(indices.filter((index) => plan.views[index]?.keyPlaces === undefined));
  const joinedByFeature = indices.filter((index) => plan.views[index]?.keyPlaces !== undefined);
  if (joinedByFeature.length > 0) await readViews(joinedByFeature);
  const computed: ServedColumn[][] = [];
  for (const view of plan.onDemandViews)
    computed.push(evaluate(view, rows, [...entities, ...requestColumns], served, computed));

  return plan.outputs.map(({ name, place: { onDemand, index, feature } }) => {
    const column = (onDemand ? computed : served)[index]?.[feature];
    if (column === undefined) throw new TypeError(`The plan reads ${name} from nowhere.`);
    return { name, column };
  });
}

/** The entity keys of a request, each once, and by row where its own stands; -1 for a key that is null. */
interface DistinctKeys {
  readonly entityKeys: readonly Uint8Array[];
  readonly slotOfRow: Int32Array;
}

function distinctKeys(
  { stream, keyColumns, keyPlaces }: PlannedView,
  rows: number,
  entities: readonly (readonly Scalar[])[],
  served: readonly ServedColumns[],
): DistinctKeys {
  const slotOfRow = new Int32Array(rows).fill(-1);
  const entityKeys: Uint8Array[] = [];
  const seen = new Map<string, number>();
  for (let row = 0; row < rows; row++) {
    const values = keyColumns.map((column, at) => {
      const place = keyPlaces?.[at];
      if (place === undefined) return entities[column]?.[row] ?? null;
      return presentValue(served[place.index]?.[place.feature], row);
    });
    const entityKey = encodeEntityKey(stream.view.entity, values);
    if (entityKey === undefined) continue;
    const name = rows === 1 ? "" : Buffer.from(entityKey).toString("latin1");
    const known = seen.get(name);
    const slot = known ?? entityKeys.push(entityKey) - 1;
    if (known === undefined) seen.set(name, slot);
    slotOfRow[row] = slot;
  }
  return { entityKeys, slotOfRow };
}

/** The value as a key: one that is too old leads nowhere, even where the caller asks to see it. */
function presentValue(column: ServedColumn | undefined, row: number): Scalar {
  return column?.status(row) === FeatureStatus.PRESENT ? column.value(row) : null;
}

/** The request's columns in the order of the plan's. @throws ColumnInvalidError */
function columnsOf(
  wanted: readonly CompiledField[],
  given: readonly Column[],
  path: "entities" | "request",
): (readonly Scalar[])[] {
  return wanted.map((field) => {
    const index = given.findIndex(({ name }) => name === field.name);
    const column = given[index];
    if (column === undefined) {
      const names = given.map(({ name }) => name).join(", ") || "no column";
      throw new ColumnInvalidError(`${path}.${field.name}`, "a column of this name", names);
    }
    return readColumn(column, field, `${path}[${index}]`);
  });
}

function rowCount(
  plan: FeaturePlan,
  entities: readonly (readonly Scalar[])[],
  request: readonly (readonly Scalar[])[],
): number {
  const fields = [...plan.entityKeys, ...plan.requestFields];
  const columns = [...entities, ...request];
  const rows = columns[0]?.length ?? 1;
  columns.forEach((column, index) => {
    if (column.length === rows) return;
    const path = index < entities.length ? "entities" : "request";
    throw new ColumnInvalidError(
      `${path}.${fields[index]?.name}`,
      `${rows} rows, as the first column`,
      `${column.length}`,
    );
  });
  return rows;
}

/** By row; undefined is now for all. */
function timesOf(atUs: readonly bigint[], rows: number): number[] | undefined {
  if (atUs.length === 0) return undefined;
  if (atUs.length !== 1 && atUs.length !== rows) {
    throw new ColumnInvalidError("at_us", `none, one, or one a row (${rows})`, `${atUs.length}`);
  }
  const times = atUs.map(Number);
  times.forEach((time, index) => {
    if (Math.abs(time) >= 2 ** 52) {
      throw new ColumnInvalidError(`at_us[${index}]`, "microseconds since 1970, before the year 2112", String(time));
    }
  });
  const [only = 0] = times;
  return times.length === rows ? times : new Array<number>(rows).fill(only);
}

/** Evaluates an on-demand view for each row. A value that cannot be computed is null. */
function evaluate(
  view: PlannedOnDemandView,
  rows: number,
  columns: readonly (readonly Scalar[])[],
  served: readonly ServedColumns[],
  computed: readonly ServedColumns[],
): ServedColumn[] {
  const result = view.features.map(({ type }) => new ServedColumn(type, rows));
  const inputs: Scalar[] = new Array(view.inputs.length).fill(null);
  for (let row = 0; row < rows; row++) {
    let newestUs = 0;
    view.inputs.forEach((input, index) => {
      if (typeof input === "number") {
        inputs[index] = columns[input]?.[row] ?? null;
        return;
      }
      const source = (input.onDemand ? computed : served)[input.index]?.[input.feature];
      inputs[index] = source?.value(row) ?? null;
      newestUs = Math.max(newestUs, source?.eventTimeUs(row) ?? 0);
    });
    view.features.forEach(({ expression }, index) => {
      const column = result[index];
      if (column === undefined) return;
      const value = valueOrNull(expression, inputs);
      column.setValue(row, value);
      column.setStatus(row, value === null ? FeatureStatus.NULL_VALUE : FeatureStatus.PRESENT);
      column.setEventTimeUs(row, newestUs);
    });
  }
  return result;
}

function valueOrNull(expression: CompiledExpression, inputs: readonly Scalar[]): Scalar {
  try {
    return expression.evaluate(inputs);
  } catch {
    return null;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
