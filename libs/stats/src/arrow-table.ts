import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBConnection,
  DuckDBDataChunk,
  type DuckDBType,
  FLOAT,
  INTEGER,
  SMALLINT,
  TINYINT,
  UBIGINT,
  UINTEGER,
  USMALLINT,
  UTINYINT,
  VARCHAR,
} from "@duckdb/node-api";
import { DataType, type RecordBatch, type Table, Type, tableFromIPC } from "apache-arrow";
import { type ComparedTable, quoteIdentifier } from "./compared-table.ts";
import { ComparisonInvalidError } from "./comparison-invalid-error.ts";

const chunkRows = 2048;

/**
 * Puts an Arrow IPC stream or file into a table of DuckDB. Columns of types that are not compared are named and left out.
 * @param field what the table is to the caller, for the error, and the table's name.
 * @throws ComparisonInvalidError for bytes that are no Arrow IPC, and for a name that two columns have.
 */
export const openArrowTable = async (
  connection: DuckDBConnection,
  field: string,
  ipc: Uint8Array,
): Promise<ComparedTable> => {
  const table = readTable(field, ipc);
  const types = new Map<string, string>();
  const columns: { readonly name: string; readonly type: DuckDBType }[] = [];
  for (const { name, type } of table.schema.fields) {
    if (types.has(name)) {
      throw new ComparisonInvalidError(`The column ${name} comes twice.`, [
        { field: `${field}.arrow`, expected: "columns of different names", got: name },
      ]);
    }
    const known = duckDbType(DataType.isDictionary(type) ? type.dictionary : type);
    types.set(name, known === undefined ? String(type) : String(known));
    if (known !== undefined) columns.push({ name, type: known });
  }
  if (columns.length > 0) await load(connection, field, table, columns);
  return { sql: quoteIdentifier(field), types };
};

const readTable = (field: string, ipc: Uint8Array): Table => {
  const refuse = (got: string, cause?: unknown) =>
    new ComparisonInvalidError(
      `The ${field} table is no Arrow IPC stream.`,
      [{ field: `${field}.arrow`, expected: "an Arrow IPC stream without compression", got }],
      cause,
    );
  let table: Table;
  try {
    table = tableFromIPC(ipc);
  } catch (cause) {
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause);
  }
  // Bytes that are something else read as a table without columns.
  if (table.schema.fields.length === 0) throw refuse(`${ipc.length} bytes without columns`);
  return table;
};

const load = async (
  connection: DuckDBConnection,
  name: string,
  table: Table,
  columns: readonly { readonly name: string; readonly type: DuckDBType }[],
): Promise<void> => {
  const declared = columns.map((column) => `${quoteIdentifier(column.name)} ${column.type}`).join(", ");
  await connection.run(`CREATE TEMP TABLE ${quoteIdentifier(name)} (${declared})`);
  const appender = await connection.createAppender(name, "main", "temp");
  try {
    for (const batch of table.batches) {
      for (let start = 0; start < batch.numRows; start += chunkRows) {
        const rows = Math.min(chunkRows, batch.numRows - start);
        const chunk = DuckDBDataChunk.create(
          columns.map(({ type }) => type),
          rows,
        );
        chunk.setColumns(columns.map((column) => valuesOf(batch, column.name, start, rows)));
        appender.appendDataChunk(chunk);
      }
    }
    appender.flushSync();
  } finally {
    appender.closeSync();
  }
};

const valuesOf = (batch: RecordBatch, name: string, start: number, rows: number) => {
  const vector = batch.getChild(name);
  return Array.from({ length: rows }, (_, row) => vector?.get(start + row) ?? null);
};

/** DuckDB's type for one of Arrow's; undefined where columns of it are not compared. */
const duckDbType = (type: DataType): DuckDBType | undefined => {
  switch (type.typeId) {
    case Type.Bool:
      return BOOLEAN;
    case Type.Utf8:
    case Type.LargeUtf8:
      return VARCHAR;
    case Type.Float:
      return DataType.isFloat(type) && type.precision === 2 ? DOUBLE : FLOAT;
    case Type.Int:
      return DataType.isInt(type) ? integerType(type.bitWidth, type.isSigned) : undefined;
    default:
      return undefined;
  }
};

const integerTypes: Readonly<Record<number, readonly [signed: DuckDBType, unsigned: DuckDBType]>> = {
  8: [TINYINT, UTINYINT],
  16: [SMALLINT, USMALLINT],
  32: [INTEGER, UINTEGER],
  64: [BIGINT, UBIGINT],
};

const integerType = (bits: number, isSigned: boolean): DuckDBType | undefined => integerTypes[bits]?.[isSigned ? 0 : 1];
