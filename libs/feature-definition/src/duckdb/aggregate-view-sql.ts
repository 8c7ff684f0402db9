import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { AggregateView, CompiledAggregate } from "../compiled.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import { aggregateSql, eventValueSql, isOrdered } from "./aggregate-sql.ts";
import {
  asksTable,
  type CommonTable,
  entityRowsTable,
  eventsTable,
  floorSql,
  keyNames,
  tableOf,
  type ViewTables,
} from "./view-sql.ts";

/**
 * Windowed aggregates as of each entity row. The steps:
 *
 *     asks    the entity rows whose keys are known                    o, t, k…
 *     events  the events that count                                   t, c, q, k…, x0, x1 …
 *     rows    both, in one table                                      events have no o, asks have no x
 *     frames  at each ask, the aggregates over the frame that
 *             starts at floor(t − window, hop) and ends before t      o, t, one column a call
 *     known   KNOWN_AT only: the same by a join, without what was not known, for those asks whose frames hold
 *             something that became known after t                     o, one column a call
 *
 * An event's own frame is empty: nobody asks at it, and DuckDB need not compute it.
 */
export const aggregateViewSql = (
  view: AggregateView,
  asOf: AsOf,
  entityRows = entityRowsTable,
  hidesErased = false,
): ViewTables => {
  const values = distinctValues(view.aggregates);
  const ranked = view.aggregates.some(isOrdered);
  const spanUs = view.aggregates.reduce(
    (most, { windowUs, hopUs }) => (windowUs + hopUs > most ? windowUs + hopUs : most),
    0n,
  );
  const computed = view.aggregates.map((aggregate) => ({
    aggregate,
    ...aggregateSql(aggregate, valueColumn(aggregate, values), "r", view.name),
  }));
  const joined = view.aggregates.flatMap((aggregate) =>
    aggregateSql(aggregate, `e.${valueColumn(aggregate, values)}`, "e.r", view.name).calls.map((text) => ({
      aggregate,
      text,
    })),
  );
  const events = eventsTable(
    view,
    values.map((sql, index) => `${sql} AS x${index}`),
    ranked ? ["row_number() OVER (ORDER BY t, c, q) AS r"] : [],
    spanUs,
    hidesErased,
  );
  const calls = computed.flatMap(({ aggregate, calls: texts }) => texts.map((text) => ({ aggregate, text })));
  const needsKnown = asOf === AsOf.KNOWN_AT && view.source.createdAt !== undefined;
  const columns = [...keyNames(view), "t", "c", ...values.map((_, index) => `x${index}`), ...(ranked ? ["r"] : [])];
  const rows: CommonTable = {
    name: tableOf(view, "rows"),
    sql: `SELECT NULL AS o, ${columns.join(", ")} FROM ${events.name}
      UNION ALL BY NAME SELECT o, ${[...keyNames(view), "t"].join(", ")} FROM ${tableOf(view, "asks")}`,
  };
  const frames: CommonTable = {
    name: tableOf(view, "frames"),
    sql: framesSql(view, rows.name, calls, needsKnown ? spanUs : undefined),
    materialized: needsKnown,
  };
  const finished = (from: string): string => {
    let next = 0;
    return computed
      .map(({ aggregate, calls: texts, finish }) => {
        const results = texts.map(() => `${from}a${next++}`);
        return `${finish(...results)} AS ${quoteIdentifier(aggregate.name)}`;
      })
      .join(", ");
  };
  const result = tableOf(view, "values");
  const base = [asksTable(view, entityRows), events, rows, frames];
  if (!needsKnown) {
    return {
      result,
      tables: [...base, { name: result, sql: `SELECT o, ${finished("")} FROM ${frames.name} WHERE o IS NOT NULL` }],
    };
  }
  const known: CommonTable = {
    name: tableOf(view, "known"),
    sql: knownSql(view, frames.name, events.name, joined, spanUs),
  };
  return {
    result,
    tables: [
      ...base,
      known,
      {
        name: result,
        sql: `SELECT o, ${finished("")} FROM ${frames.name} WHERE o IS NOT NULL AND (newest IS NULL OR newest <= t)
          UNION ALL BY NAME
          SELECT f.o, ${finished("k.")} FROM ${frames.name} f LEFT JOIN ${known.name} k ON f.o = k.o WHERE f.o IS NOT NULL AND f.newest > f.t`,
      },
    ],
  };
};

interface AggregateCall {
  readonly aggregate: CompiledAggregate;
  readonly text: string;
}

const framesSql = (
  view: AggregateView,
  rows: string,
  calls: readonly AggregateCall[],
  newestWithinUs: bigint | undefined,
): string => {
  const windows = distinctWindows(view.aggregates);
  const windowName = ({ windowUs, hopUs }: CompiledAggregate): string =>
    `w${windows.findIndex((w) => w.windowUs === windowUs && w.hopUs === hopUs)}`;
  const partition = `PARTITION BY ${keyNames(view).join(", ")} ORDER BY t`;
  const definitions = windows.map(
    ({ windowUs, hopUs }, index) =>
      `w${index} AS (${partition} RANGE BETWEEN (CASE WHEN o IS NULL THEN 0 ELSE t - ${floorSql(`t - ${windowUs}`, hopUs)} END) PRECEDING AND 1 PRECEDING)`,
  );
  const selected = calls.map(
    ({ aggregate, text }, index) => `${text.replace("%", ` OVER ${windowName(aggregate)}`)} AS a${index}`,
  );
  if (newestWithinUs !== undefined) {
    definitions.push(
      `newest AS (${partition} RANGE BETWEEN (CASE WHEN o IS NULL THEN 0 ELSE ${newestWithinUs} END) PRECEDING AND 1 PRECEDING)`,
    );
    selected.push("max(c) OVER newest AS newest");
  }
  return `SELECT o, t, ${[...keyNames(view), ...selected].join(", ")} FROM ${rows}
      WINDOW ${definitions.join(", ")}`;
};

const knownSql = (
  view: AggregateView,
  frames: string,
  events: string,
  calls: readonly AggregateCall[],
  spanUs: bigint,
): string => {
  const selected = calls.map(({ aggregate: { windowUs, hopUs }, text }, index) => {
    const filter = ` FILTER (WHERE e.t >= ${floorSql(`f.t - ${windowUs}`, hopUs)})`;
    return `${text.replace("%", filter)} AS a${index}`;
  });
  const keys = keyNames(view).map((key) => `f.${key} = e.${key}`);
  return `SELECT f.o, ${selected.join(", ")} FROM ${frames} f JOIN ${events} e ON ${keys.join(" AND ")}
      AND e.t < f.t AND e.t >= f.t - ${spanUs} AND e.c <= f.t
      WHERE f.o IS NOT NULL AND f.newest > f.t GROUP BY f.o`;
};

/** SQL of what the aggregates read, each once. */
const distinctValues = (aggregates: readonly CompiledAggregate[]): string[] => [
  ...new Set(aggregates.flatMap((aggregate) => eventValueSql(aggregate) ?? [])),
];

/** COUNT of rows counts creation times, which every event has and no entity row. */
const valueColumn = (aggregate: CompiledAggregate, values: readonly string[]): string => {
  const value = eventValueSql(aggregate);
  return value === undefined ? "c" : `x${values.indexOf(value)}`;
};

const distinctWindows = (aggregates: readonly CompiledAggregate[]): CompiledAggregate[] =>
  aggregates.filter(
    ({ windowUs, hopUs }, index) =>
      aggregates.findIndex((other) => other.windowUs === windowUs && other.hopUs === hopUs) === index,
  );
