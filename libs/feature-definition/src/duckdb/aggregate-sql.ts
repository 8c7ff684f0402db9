import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { CompiledAggregate } from "../compiled.ts";
import { quoteText } from "../expression/duckdb-literal.ts";
import {
  distinctCountSql,
  distinctHashSql,
  percentileCodeSql,
  percentileValueSql,
  registerCodeSql,
} from "./sketch-sql.ts";

/** How one aggregate is computed: by functions of DuckDB, over a frame or over a group, and an expression of them. */
export interface AggregateSql {
  /** Calls with `%` where OVER or FILTER follows, such as `count(x)%`. */
  readonly calls: readonly string[];
  /** The value, from the names of the calls' results. */
  finish(...results: string[]): string;
}

/** What an aggregate reads of each event, as an expression over the source's columns; undefined for COUNT of rows. */
export const eventValueSql = ({ function: aggregate, of }: CompiledAggregate): string | undefined => {
  if (of === undefined) return undefined;
  if (aggregate === AggregateFunction.DISTINCT_COUNT) return distinctHashSql(of.toSql(), of.type);
  if (aggregate === AggregateFunction.APPROX_PERCENTILE) return percentileCodeSql(of.toSql());
  return of.toSql();
};

/** Whether an aggregate needs the order of the events. */
export const isOrdered = ({ function: aggregate }: CompiledAggregate): boolean =>
  aggregate === AggregateFunction.LAST ||
  aggregate === AggregateFunction.FIRST ||
  aggregate === AggregateFunction.LAST_N;

/**
 * @param value the column that holds `eventValueSql` for each event; for COUNT of rows one that is never null.
 * @param rank a number that orders events by event time, creation time and source order.
 */
export const aggregateSql = (aggregate: CompiledAggregate, value: string, rank: string, view: string): AggregateSql => {
  const isFloating = aggregate.of?.type === ValueType.DOUBLE || aggregate.of?.type === ValueType.FLOAT;
  const double = isFloating ? `CAST(${value} AS DOUBLE)` : value;
  const itself = (result = ""): string => result;
  switch (aggregate.function) {
    case AggregateFunction.COUNT:
      return { calls: [`count(${value})%`], finish: (result) => `coalesce(${result}, 0)` };
    case AggregateFunction.SUM:
      return {
        calls: [`sum(${double})%`],
        finish: isFloating ? itself : (result = "") => checkedSum(result, aggregate.name, view),
      };
    case AggregateFunction.MEAN:
      return { calls: [`avg(${double})%`], finish: itself };
    case AggregateFunction.MIN:
      // NaN is the greatest number to DuckDB: the least of the negated values carries it along.
      return isFloating
        ? { calls: [`max(-${value})%`], finish: (result) => `-${result}` }
        : { calls: [`min(${value})%`], finish: itself };
    case AggregateFunction.MAX:
      return { calls: [`max(${value})%`], finish: itself };
    case AggregateFunction.LAST:
      return { calls: [`arg_max(${value}, ${rank})%`], finish: itself };
    case AggregateFunction.FIRST:
      return { calls: [`arg_min(${value}, ${rank})%`], finish: itself };
    case AggregateFunction.VARIANCE:
    case AggregateFunction.STDDEV: {
      const name = aggregate.function === AggregateFunction.VARIANCE ? "var_samp" : "stddev_samp";
      if (!isFloating) return { calls: [`${name}(${value})%`], finish: itself };
      return {
        calls: [
          `${name}(CASE WHEN isfinite(${double}) THEN ${double} END)%`,
          `count(CASE WHEN NOT isfinite(${double}) THEN 1 END)%`,
          `count(${value})%`,
        ],
        finish: (result, odd, count) =>
          `CASE WHEN ${odd} > 0 AND ${count} > 1 THEN CAST('NaN' AS DOUBLE) ELSE ${result} END`,
      };
    }
    case AggregateFunction.LAST_N: {
      const ranked = `CASE WHEN ${value} IS NULL THEN NULL ELSE ${rank} END`;
      return {
        calls: [`arg_max(${value}, ${ranked}, ${aggregate.n ?? 1})%`],
        finish: (result = "") => `CASE WHEN len(${result}) > 0 THEN ${result} END`,
      };
    }
    case AggregateFunction.DISTINCT_COUNT:
      return {
        calls: [`count(DISTINCT ${value})%`, `list(DISTINCT ${registerCodeSql(value)})%`],
        finish: (count = "", codes = "") => distinctCountSql(count, codes),
      };
    case AggregateFunction.APPROX_PERCENTILE:
      return {
        calls: [`quantile_disc(${value}, CAST(${aggregate.percentile ?? 1} AS DOUBLE))%`],
        finish: (result = "") => percentileValueSql(result),
      };
    default:
      throw new TypeError(`Aggregate function ${aggregate.function} has no SQL.`);
  }
};

const checkedSum = (sum: string, name: string, view: string): string =>
  `CASE WHEN ${sum} BETWEEN -9223372036854775808 AND 9223372036854775807 THEN CAST(${sum} AS BIGINT) WHEN ${sum} IS NULL THEN NULL ELSE error(${quoteText(sumOverflowMessage(name, view))}) END`;

/** What the query fails with when a sum leaves 64 bits; the engine finds the view's name in it. */
const sumOverflowMessage = (name: string, view: string): string => `the SUM ${view}.${name} is beyond INT64`;
