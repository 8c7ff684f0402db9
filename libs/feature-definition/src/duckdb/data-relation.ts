import type { BatchSource } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { CompiledField } from "../compiled.ts";
import { quoteIdentifier, quoteText } from "../expression/duckdb-literal.ts";
import { duckDbType, expressionType, valueTypeName } from "../expression/expression-type.ts";
import { acceptsColumn, naturalType } from "./column-types.ts";
import { type DataFile, findDataFiles } from "./data-files.ts";
import type { DuckDbSession } from "./duckdb-session.ts";
import { EngineFailedError } from "./engine-failed-error.ts";
import { SourceDataInvalidError } from "./source-data-invalid-error.ts";

type Data = BatchSource["data"];

/** Files that DuckDB can read as one table. */
export interface DataRelation {
  readonly files: readonly DataFile[];
  /** Every column of the files that has a value type. */
  readonly columns: readonly CompiledField[];
  /** The names of all columns of the files, in their order. */
  readonly names: readonly string[];
  /**
   * A SELECT of the wanted columns, cast to their types, and `__sequence`: the place of a row in file order.
   * @param raw columns to take as they are, as `raw NAME`.
   */
  select(wanted: readonly CompiledField[], raw?: readonly string[]): string;
}

/**
 * Finds the files of a batch source or entity query, and reads their schema.
 * @param what whose data it is, for errors.
 * @throws SourceDataInvalidError if files are missing or unreadable; EngineFailedError for data that no engine here reads.
 */
export const openDataRelation = async (
  data: Data | { readonly case: "sql" },
  dataRoot: string,
  what: string,
  session: DuckDbSession,
): Promise<DataRelation> => {
  if (data.case !== "parquet" && data.case !== "csv") {
    throw new EngineFailedError(
      `The data of ${what} is given as ${data.case ?? "nothing"}; this engine reads parquet and csv.`,
    );
  }
  const files = await findDataFiles(data.value, dataRoot, what);
  const list = `[${files.map(({ path }) => quoteText(path)).join(", ")}]`;
  const isParquet = data.case === "parquet";
  const from = isParquet
    ? `read_parquet(${list}, union_by_name = true)`
    : `read_csv(${list}, header = true, union_by_name = true)`;
  const described = await session.rows(`DESCRIBE SELECT * FROM ${from}`).catch((cause: unknown) => {
    const got = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
    throw new SourceDataInvalidError(what, [
      { field: files[0]?.name ?? "", expected: `${data.case} files of one schema`, got },
    ]);
  });
  const physical = new Map(described.map(([name, type]) => [String(name), String(type)]));
  const columns = [...physical].flatMap(([name, type]) => {
    const found = naturalType(type);
    return found === undefined ? [] : [{ name, type: found }];
  });
  const sequence = isParquet ? "(CAST(file_index AS BIGINT) << 40) + file_row_number" : "row_number() OVER ()";
  return {
    files,
    columns,
    names: [...physical.keys()],
    select: (wanted, raw = []) => {
      refuseMissing(wanted, physical, isParquet, what);
      const selected = wanted.map((field) => {
        const cast = `CAST(${quoteIdentifier(field.name)} AS ${duckDbType(expressionType(field.type))})`;
        return `${field.length === undefined ? cast : ofLength(cast, field, what)} AS ${quoteIdentifier(field.name)}`;
      });
      selected.push(...raw.map((name) => `${quoteIdentifier(name)} AS ${quoteIdentifier(`raw ${name}`)}`));
      return `SELECT ${[...selected, `${sequence} AS "__sequence"`].join(", ")} FROM ${from}`;
    },
  };
};

/** A list that must have so many elements. */
export const ofLength = (value: string, { name, length }: CompiledField, what: string): string =>
  `CASE WHEN len(${value}) <> ${length} THEN error(${quoteText(lengthMessage(what, name, length))}) ELSE ${value} END`;

/** What the query fails with; `engineError` finds it in the engine's own words. */
const lengthMessage = (what: string, name: string, length: number | undefined): string =>
  `${what}: the list ${name} has another length than ${length}`;

const refuseMissing = (
  wanted: readonly CompiledField[],
  physical: ReadonlyMap<string, string>,
  isParquet: boolean,
  what: string,
): void => {
  const violations = wanted.flatMap(({ name, type }) => {
    const found = physical.get(name);
    // A CSV column has the type that DuckDB guesses from its text: it is cast, and a value that does not fit fails.
    if (found !== undefined && (acceptsColumn(type, found) || (!isParquet && !found.endsWith("[]")))) return [];
    return [{ field: name, expected: `a column of type ${valueTypeName(type)}`, got: found ?? "no such column" }];
  });
  if (violations.length > 0) throw new SourceDataInvalidError(what, violations);
};
