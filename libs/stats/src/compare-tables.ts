/*
 * Exact comparison of two tables, column by column, so that memory holds one column of both files at a time (an Arrow
 * table is in memory as it comes):
 *
 *   table → (DuckDB: cast, drop nulls and infinities, count categories) → two samples → drift tests → verdicts
 *
 * Types follow Evidently's: floating point is numeric; integers are categories up to 10 distinct values; booleans and
 * text are categories; text with more distinct values than half of its rows, dates and nested types are not compared.
 */

import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { openArrowTable } from "./arrow-table.ts";
import { type ComparedTable, openParquetTable, quoteIdentifier } from "./compared-table.ts";
import { ComparisonInvalidError } from "./comparison-invalid-error.ts";
import {
  type ColumnComparison,
  type ComparedColumn,
  type Comparison,
  compareColumn,
  DEFAULT_TEST,
  summarizeComparison,
} from "./exact/compare-samples.ts";
import { driftTest, type Sample } from "./exact/drift-test.ts";

export interface CompareOptions {
  /** Names of tests; none: the default by type and size. */
  readonly tests?: readonly string[];
  /** Only these columns; default: all that both tables have. */
  readonly columns?: readonly string[];
}

/** Integers with at most this many distinct values are categories. */
const INTEGER_CATEGORIES = 10;

/** A table to compare: the path of a Parquet file, or an Arrow IPC stream or file. */
export type TableToCompare = { readonly parquet: string } | { readonly arrow: Uint8Array };

/**
 * Compares two tables exactly.
 * @param reference the one that is normal.
 * @throws ComparisonInvalidError for a table that cannot be read, an unknown test or column, no column in common.
 */
export const compareTables = async (
  reference: TableToCompare,
  current: TableToCompare,
  options: CompareOptions = {},
): Promise<Comparison> => {
  for (const test of options.tests ?? []) if (test !== DEFAULT_TEST) driftTest(test);
  const instance = await DuckDBInstance.create(":memory:", { threads: "2" });
  const connection = await instance.connect();
  try {
    const referenceTable = await openTable(connection, "reference", reference);
    const currentTable = await openTable(connection, "current", current);
    const names = chosenColumns(referenceTable.types, currentTable.types, options.columns);
    const compared: ColumnComparison[] = [];
    for (const name of names) {
      const types = [referenceTable.types.get(name) ?? "", currentTable.types.get(name) ?? ""] as const;
      const column = await readColumn(connection, name, types, [referenceTable.sql, currentTable.sql]);
      compared.push(...compareColumn(column, options.tests ?? []));
    }
    return summarizeComparison(compared);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
};

const openTable = (connection: DuckDBConnection, field: string, table: TableToCompare): Promise<ComparedTable> =>
  "parquet" in table
    ? openParquetTable(connection, field, table.parquet)
    : openArrowTable(connection, field, table.arrow);

const chosenColumns = (
  reference: ReadonlyMap<string, string>,
  current: ReadonlyMap<string, string>,
  asked: readonly string[] | undefined,
): readonly string[] => {
  const common = [...reference.keys()].filter((name) => current.has(name));
  const unknown = (asked ?? []).filter((name) => !common.includes(name));
  if (unknown.length > 0)
    throw new ComparisonInvalidError(
      `Not in both tables: ${unknown.join(", ")}.`,
      unknown.map((got) => ({ field: "columns", expected: `one of ${common.join(", ")}`, got })),
    );
  if (common.length === 0)
    throw new ComparisonInvalidError("The two tables have no column in common.", [
      { field: "current", expected: `one of ${[...reference.keys()].join(", ")}`, got: [...current.keys()].join(", ") },
    ]);
  return asked === undefined || asked.length === 0 ? common : asked;
};

type Kind = "floating" | "integer" | "category" | "unsupported";

const kindOf = (type: string): Kind => {
  if (type === "DOUBLE" || type === "FLOAT" || type.startsWith("DECIMAL")) return "floating";
  if (/^U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)$/.test(type)) return "integer";
  if (type === "VARCHAR" || type === "BOOLEAN" || type.startsWith("ENUM")) return "category";
  return "unsupported";
};

const readColumn = async (
  connection: DuckDBConnection,
  name: string,
  types: readonly [string, string],
  tables: readonly [string, string],
): Promise<ComparedColumn> => {
  const [referenceType, currentType] = types;
  const kinds = [kindOf(referenceType), kindOf(currentType)];
  if (kinds.includes("unsupported")) return { name, error: `columns of ${referenceType} are not compared` };
  const numeric = kinds.every((kind) => kind !== "category");
  if (!numeric && kinds.some((kind) => kind !== "category"))
    return { name, error: `the types do not fit: ${referenceType} and ${currentType}` };
  const [referenceTable, currentTable] = tables;
  if (numeric) {
    const integers = kinds.every((kind) => kind === "integer");
    if (!integers || !(await isCategoryOfIntegers(connection, name, referenceTable)))
      return {
        name,
        reference: await numbers(connection, name, referenceTable, integers),
        current: await numbers(connection, name, currentTable, integers),
      };
  }
  const reference = await categories(connection, name, referenceTable);
  if (reference === undefined) return { name, error: "text: more than half of the values are distinct" };
  const current = await categories(connection, name, currentTable, false);
  return { name, reference, current: current ?? { kind: "categories", counts: new Map() } };
};

const isCategoryOfIntegers = async (connection: DuckDBConnection, name: string, table: string): Promise<boolean> => {
  const result = await connection.run(`SELECT count(*) FROM (SELECT DISTINCT ${quoteIdentifier(name)} AS v FROM ${table}
    WHERE v IS NOT NULL LIMIT ${INTEGER_CATEGORIES + 1})`);
  const [[distinct] = []] = await result.getRowsJS();
  return Number(distinct) <= INTEGER_CATEGORIES;
};

const numbers = async (
  connection: DuckDBConnection,
  name: string,
  table: string,
  integers: boolean,
): Promise<Sample> => {
  const column = `CAST(${quoteIdentifier(name)} AS DOUBLE)`;
  const where = `${quoteIdentifier(name)} IS NOT NULL AND isfinite(${column})`;
  const result = await connection.stream(`SELECT ${column} FROM ${table} WHERE ${where}`);
  let values = new Float64Array(1 << 16);
  let count = 0;
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    const vector = chunk.getColumnVector(0);
    const { itemCount } = vector;
    if (count + itemCount > values.length) {
      const larger = new Float64Array(2 * values.length);
      larger.set(values);
      values = larger;
    }
    for (let row = 0; row < itemCount; row++) values[count++] = vector.getItem(row) as number;
  }
  return { kind: "numbers", sorted: values.subarray(0, count).sort(), integers };
};

const categories = async (
  connection: DuckDBConnection,
  name: string,
  table: string,
  refuseText = true,
): Promise<Sample | undefined> => {
  const column = quoteIdentifier(name);
  const rows = await (
    await connection.run(`SELECT CAST(${column} AS VARCHAR) AS value, count(*) AS rows FROM ${table}
    WHERE ${column} IS NOT NULL GROUP BY ${column} ORDER BY value`)
  ).getRowsJS();
  const counts = new Map(rows.map(([value, count]) => [String(value), Number(count)]));
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (refuseText && counts.size > 2 && counts.size > total / 2) return undefined;
  return { kind: "categories", counts };
};
