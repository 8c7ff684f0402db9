import type { CompiledView } from "../compiled.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";

/** A named part of a WITH clause. */
export interface CommonTable {
  readonly name: string;
  readonly sql: string;
  /** Whether several others read it. */
  readonly materialized?: boolean;
}

/** The tables of one view; the last one has `o` (the ordinal of the entity row) and a column for each feature. */
export interface ViewTables {
  readonly tables: readonly CommonTable[];
  readonly result: string;
}

/** The names of a view's tables. */
export const tableOf = (view: Pick<CompiledView, "name">, part: string): string =>
  quoteIdentifier(`${view.name}: ${part}`);

/** `k0`, `k1` …, one for each entity key. */
export const keyNames = (view: CompiledView): string[] => view.entity.keys.map((_, index) => `k${index}`);

/** The table of the entity rows that a view is asked for: its columns are `__ordinal`, `__time` and the entity's keys. */
export const entityRowsTable = "entity_rows";

/** Entity rows that the view can have something for: `o`, `t` (microseconds) and the keys, none of which is null. */
export const asksTable = (view: CompiledView, entityRows = entityRowsTable): CommonTable => {
  const keys = view.entity.keys.map(({ name }) => quoteIdentifier(name));
  return {
    name: tableOf(view, "asks"),
    sql: `SELECT "__ordinal" AS o, "__time" AS t, ${keys.map((key, index) => `${key} AS k${index}`).join(", ")}
      FROM ${entityRows} WHERE ${keys.map((key) => `${key} IS NOT NULL`).join(" AND ")}`,
    materialized: true,
  };
};

/**
 * The events that count in a view, whatever the time asked for: `t` and `c` (event and creation time in microseconds),
 * `q` (source order), keys, and the given expressions. Only those of keys and times that are asked for.
 * @param hidesErased leaves out what became known of entities in `erasedTable` before they were erased.
 * @param lowestUs how far before the earliest entity row events matter; undefined: for ever.
 */
export const eventsTable = (
  view: CompiledView,
  values: readonly string[],
  extra: readonly string[],
  lowestUs: bigint | undefined,
  hidesErased = false,
): CommonTable => {
  const { source } = view;
  const keys = keyNames(view);
  const createdAt = source.createdAt ?? source.eventTime;
  const asks = tableOf(view, "asks");
  const columns = [
    `epoch_us(${quoteIdentifier(source.eventTime)}) AS t`,
    `epoch_us(${quoteIdentifier(createdAt)}) AS c`,
    `"__sequence" AS q`,
    ...view.keyColumns.map((column, index) => `${quoteIdentifier(column)} AS k${index}`),
    ...values,
  ];
  const conditions = [
    ...keys.map((key) => `${key} IS NOT NULL`),
    "t IS NOT NULL AND c IS NOT NULL",
    `c - t <= ${source.allowedLatenessUs} AND t - c <= ${source.maxFutureSkewUs}`,
    `t <= (SELECT max(t) FROM ${asks})`,
    ...(lowestUs === undefined ? [] : [`t >= (SELECT min(t) FROM ${asks}) - ${lowestUs}`]),
  ];
  return {
    name: tableOf(view, "events"),
    sql: `SELECT ${["*", ...extra].join(", ")} FROM (
        SELECT ${columns.join(", ")} FROM ${quoteIdentifier(`source: ${source.name}`)}${whereSql(view)}
      ) e SEMI JOIN ${asks} USING (${keys.join(", ")})${hidesErased ? notErased(view) : ""} WHERE ${conditions.join(" AND ")}`,
    materialized: true,
  };
};

/** The table of a view's erased keys: `k0` …, and `at_us`. */
export const erasedTable = (view: Pick<CompiledView, "name">): string => tableOf(view, "erased keys");

const notErased = (view: CompiledView): string =>
  ` ANTI JOIN ${erasedTable(view)} x ON ${keyNames(view)
    .map((key) => `e.${key} = x.${key}`)
    .join(" AND ")} AND e.c <= x.at_us`;

/** What counts in a view; a deletion does, whatever else it says. */
const whereSql = ({ where, source: { deleted } }: CompiledView): string => {
  if (where === undefined) return "";
  return ` WHERE ${where.toSql()}${deleted === undefined ? "" : ` OR ${quoteIdentifier(deleted.name)}`}`;
};

/** The greatest multiple of the hop that is not above a time; also for times before 1970. */
export const floorSql = (timeUs: string, hopUs: bigint): string =>
  `((${timeUs}) - ((((${timeUs}) % ${hopUs}) + ${hopUs}) % ${hopUs}))`;
