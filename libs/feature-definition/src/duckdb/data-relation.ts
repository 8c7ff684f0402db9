import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { BatchSource } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { CompiledField } from "../compiled.ts";
import { quoteIdentifier, quoteText } from "../expression/duckdb-literal.ts";
import { duckDbType, expressionType, valueTypeName } from "../expression/expression-type.ts";
import type { TimeBounds } from "../sql-source/copy-query.ts";
import { stageQuery } from "../sql-source/stage-query.ts";
import { acceptsColumn, naturalType } from "./column-types.ts";
import { type DataFile, findDataFiles, partitionColumns } from "./data-files.ts";
import type { DuckDbSession } from "./duckdb-session.ts";
import { EngineFailedError } from "./engine-failed-error.ts";
import { SourceDataInvalidError } from "./source-data-invalid-error.ts";

type Data = BatchSource["data"];

/** Where batch data is found. */
export interface DataLocation {
  /** The folder that the paths of sources and queries are relative to. */
  readonly dataRoot: string;
  /** The file that has the databases of `sql` sources, `NAME=postgres://USER:PASSWORD@HOST:PORT/DATABASE` a line. */
  readonly sqlConnectionsFile?: string | undefined;
}

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
 * Finds the files of a batch source or entity query, and reads their schema. What a `sql` source gives is copied into a
 * file first, which lives as long as the session.
 * @param what whose data it is, for errors.
 * @param bounds what of a `sql` source is copied; of files all are read.
 * @throws SourceDataInvalidError if files are missing or unreadable; SqlConnectionInvalidError,
 * SqlConnectionUnavailableError; EngineFailedError for data that no engine here reads.
 */
export const openDataRelation = async (
  data: Data,
  { dataRoot, sqlConnectionsFile }: DataLocation,
  what: string,
  session: DuckDbSession,
  bounds?: TimeBounds,
): Promise<DataRelation> => {
  if (data.case === undefined) throw new EngineFailedError(`The data of ${what} is given as nothing.`);
  const files =
    data.case === "sql"
      ? [await stageQuery(data.value, sqlConnectionsFile, what, session, bounds)]
      : await findDataFiles(data.value, data.case, dataRoot, what);
  const list = `[${files.map(({ path }) => quoteText(path)).join(", ")}]`;
  const isParquet = data.case !== "csv";
  const [first] = data.case === "sql" ? [] : files;
  const partitions = new Set(first === undefined ? [] : partitionColumns(first));
  // As text, whatever it looks like: `01` is no number in a column of type STRING.
  const hive = partitions.size > 0 ? ", hive_partitioning = true, hive_types_autocast = false" : "";
  const isText = (name: string): boolean => !isParquet || partitions.has(name);
  const from = (texts: readonly string[]): string => {
    if (isParquet) return `read_parquet(${list}, union_by_name = true${hive})`;
    const types = texts.map((name) => `${quoteText(name)}: 'VARCHAR'`).join(", ");
    return `read_csv(${list}, header = true, union_by_name = true${hive}${types === "" ? "" : `, types = {${types}}`})`;
  };
  const described = await session.rows(`DESCRIBE SELECT * FROM ${from([])}`).catch((cause: unknown) => {
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
      refuseMissing(wanted, physical, isText, what);
      // What a CSV file's column looks like is guessed; a STRING is its text as it stands there.
      const texts = wanted.filter(({ name, type }) => type === ValueType.STRING && !partitions.has(name));
      const selected = wanted.map((field) => {
        const cast = `CAST(${quoteIdentifier(field.name)} AS ${duckDbType(expressionType(field.type))})`;
        return `${field.length === undefined ? cast : ofLength(cast, field, what)} AS ${quoteIdentifier(field.name)}`;
      });
      selected.push(...raw.map((name) => `${quoteIdentifier(name)} AS ${quoteIdentifier(`raw ${name}`)}`));
      return `SELECT ${[...selected, `${sequence} AS "__sequence"`].join(", ")} FROM ${from(texts.map(({ name }) => name))}`;
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
  isText: (column: string) => boolean,
  what: string,
): void => {
  const violations = wanted.flatMap(({ name, type }) => {
    const found = physical.get(name);
    // Text, whose type in a CSV file DuckDB guesses, is cast: a value that does not fit fails.
    if (found !== undefined && (acceptsColumn(type, found) || (isText(name) && !found.endsWith("[]")))) return [];
    return [{ field: name, expected: `a column of type ${valueTypeName(type)}`, got: found ?? "no such column" }];
  });
  if (violations.length > 0) throw new SourceDataInvalidError(what, violations);
};
