import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { LatestRowView } from "../compiled.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import {
  asksTable,
  type CommonTable,
  entityRowsTable,
  eventsTable,
  keyNames,
  tableOf,
  type ViewTables,
} from "./view-sql.ts";

/**
 * The latest row as of each entity row: of the rows with event_time ≤ t the one with the greatest event time, then
 * creation time, then place in the source. The steps:
 *
 *     asks    the entity rows whose keys are known                              o, t, k…
 *     events  the rows that count, those of equal key and event time once       t, c, q, k…, f0, f1 …
 *     found   the last of them at each ask                                      o, t, found_at, c, f0, f1 …
 *     known   KNOWN_AT only: the same among the rows known at t, for those
 *             asks whose last row became known after t                          o, best
 */
export const latestRowViewSql = (
  view: LatestRowView,
  asOf: AsOf,
  entityRows = entityRowsTable,
  hidesErased = false,
): ViewTables => {
  const { deleted } = view.source;
  const values = [
    ...view.features.map(({ expression }, index) => `${expression.toSql()} AS f${index}`),
    ...(deleted === undefined ? [] : [`coalesce(${quoteIdentifier(deleted.name)}, FALSE) AS gone`]),
  ];
  const names = [...view.features.map((_, index) => `f${index}`), ...(deleted === undefined ? [] : ["gone"])];
  const keys = keyNames(view);
  const all = eventsTable(view, values, [], view.ttlUs, hidesErased);
  const asks = asksTable(view, entityRows);
  const latest: CommonTable = {
    name: tableOf(view, "latest"),
    sql: `SELECT * FROM ${all.name} QUALIFY row_number() OVER (PARTITION BY ${[...keys, "t"].join(", ")} ORDER BY c DESC, q DESC) = 1`,
  };
  const needsKnown = asOf === AsOf.KNOWN_AT && view.source.createdAt !== undefined;
  const found: CommonTable = {
    name: tableOf(view, "found"),
    sql: `SELECT a.o, a.t, ${keys.map((key) => `a.${key}`).join(", ")}, e.t AS found_at, e.c, ${names.map((name) => `e.${name}`).join(", ")}
      FROM ${asks.name} a ASOF JOIN ${latest.name} e ON ${keys.map((key) => `a.${key} = e.${key}`).join(" AND ")} AND a.t >= e.t`,
    materialized: needsKnown,
  };
  const inTime = (t: string, at: string): string =>
    view.ttlUs === undefined ? "" : ` AND ${t} - ${at} <= ${view.ttlUs}`;
  const stillThere = (from: string): string => (deleted === undefined ? "" : ` AND NOT ${from}gone`);
  const result = tableOf(view, "values");
  const features = (from: string): string =>
    view.features.map(({ name }, index) => `${from}f${index} AS ${quoteIdentifier(name)}`).join(", ");
  const base = [asks, all, latest, found];
  if (!needsKnown) {
    const sql = `SELECT o, ${features("")} FROM ${found.name} WHERE TRUE${inTime("t", "found_at")}${stillThere("")}`;
    return { result, tables: [...base, { name: result, sql }] };
  }
  const known: CommonTable = {
    name: tableOf(view, "known"),
    sql: `SELECT f.o, any_value(f.t) AS t,
        arg_max({'found_at': e.t, ${names.map((name) => `'${name}': e.${name}`).join(", ")}}, {'t': e.t, 'c': e.c, 'q': e.q}) AS best
      FROM ${found.name} f JOIN ${all.name} e ON ${keys.map((key) => `f.${key} = e.${key}`).join(" AND ")} AND e.t <= f.t AND e.c <= f.t
      WHERE f.c > f.t GROUP BY f.o`,
  };
  return {
    result,
    tables: [
      ...base,
      known,
      {
        name: result,
        sql: `SELECT o, ${features("")} FROM ${found.name} WHERE c <= t${inTime("t", "found_at")}${stillThere("")}
          UNION ALL BY NAME SELECT o, ${features("best.")} FROM ${known.name} WHERE TRUE${inTime("t", "best.found_at")}${stillThere("best.")}`,
      },
    ],
  };
};
