/** How a column goes from PostgreSQL through CSV into DuckDB without loss. */
export interface ColumnCopy {
  /** The SQL in PostgreSQL that writes a column, whose quoted name comes. */
  readonly write: (column: string) => string;
  /** The SQL in DuckDB that reads what `write` has written from a VARCHAR column, whose quoted name comes. */
  readonly read: (column: string) => string;
  /** Of a time: the SQL in PostgreSQL of an instant to compare the column itself with, so that an index on it serves. */
  readonly instant?: (us: number) => string;
}

const same = (type: string): ColumnCopy => ({
  write: (column) => column,
  read: (column) => `CAST(${column} AS ${type})`,
});

// As whole microseconds, so that neither a time zone nor a style of dates has a say. From PostgreSQL 14 on the value of
// extract is exact.
const microseconds = (value: string): string => `CAST(extract(epoch FROM ${value}) * 1000000 AS bigint)`;

const instant = (type: "timestamptz" | "timestamp"): ColumnCopy => ({
  write: microseconds,
  read: (column) => `make_timestamp(CAST(${column} AS BIGINT))`,
  instant: (us) => `${type} 'epoch' + interval '${us} microseconds'`,
});

const bytes: ColumnCopy = {
  write: (column) => `encode(${column}, 'hex')`,
  read: (column) => `unhex(${column})`,
};

const double: ColumnCopy = {
  write: (column) => `CAST(${column} AS float8)`,
  read: (column) => `CAST(${column} AS DOUBLE)`,
};

/** A list travels as JSON, each element as it would travel alone. */
const listOf = (jsonType: string, element?: ColumnCopy): ColumnCopy => ({
  write: (column) =>
    element === undefined
      ? `array_to_json(${column})`
      : `CASE WHEN ${column} IS NOT NULL THEN array_to_json(ARRAY(SELECT ${element.write("u.x")} FROM unnest(${column}) WITH ORDINALITY AS u(x, place) ORDER BY u.place)) END`,
  read: (column) => {
    const list = `from_json(${column}, '["${jsonType}"]')`;
    return element === undefined ? list : `list_transform(${list}, lambda x: ${element.read("x")})`;
  },
});

/**
 * By the type's OID, as PostgreSQL's `pg_type.dat` has them; these never change between versions. A `numeric` becomes a
 * DOUBLE, as a DECIMAL of a Parquet file does.
 */
const copies: Readonly<Record<number, ColumnCopy>> = {
  16: same("BOOLEAN"),
  17: bytes,
  18: same("VARCHAR"),
  19: same("VARCHAR"),
  20: same("BIGINT"),
  21: same("SMALLINT"),
  23: same("INTEGER"),
  25: same("VARCHAR"),
  114: same("VARCHAR"),
  700: same("FLOAT"),
  701: same("DOUBLE"),
  1000: listOf("BOOLEAN"),
  1001: listOf("VARCHAR", bytes),
  1005: listOf("SMALLINT"),
  1007: listOf("INTEGER"),
  1009: listOf("VARCHAR"),
  1015: listOf("VARCHAR"),
  1016: listOf("BIGINT"),
  1021: listOf("FLOAT"),
  1022: listOf("DOUBLE"),
  1042: same("VARCHAR"),
  1043: same("VARCHAR"),
  1082: instant("timestamp"),
  1114: instant("timestamp"),
  1115: listOf("BIGINT", instant("timestamp")),
  1182: listOf("BIGINT", instant("timestamp")),
  1184: instant("timestamptz"),
  1185: listOf("BIGINT", instant("timestamptz")),
  1231: listOf("DOUBLE", double),
  1700: double,
  2950: same("VARCHAR"),
  3802: same("VARCHAR"),
};

const text = same("VARCHAR");

/** How a column of a type travels; undefined where no value type of ours stands for it. */
export const columnCopy = (typeOid: number, isEnum: boolean): ColumnCopy | undefined =>
  isEnum ? text : copies[typeOid];
