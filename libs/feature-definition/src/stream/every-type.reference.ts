import type { Scalar } from "../compiled.ts";

/** The instant of the values below, in microseconds. */
export const atUs = BigInt(Date.UTC(2001, 0, 10)) * 1000n;

/** A value of every type, and how DuckDB writes it. */
export const everyType = {
  BOOL: { value: true, sql: "true", duckDb: "BOOLEAN" },
  INT64: { value: -(2n ** 62n), sql: "-4611686018427387904", duckDb: "BIGINT" },
  DOUBLE: { value: 0.1, sql: "0.1::DOUBLE", duckDb: "DOUBLE" },
  FLOAT: { value: Math.fround(0.1), sql: "0.1::FLOAT", duckDb: "FLOAT" },
  STRING: { value: "Zürich \u{1f600}", sql: "'Zürich \u{1f600}'", duckDb: "VARCHAR" },
  BYTES: { value: Uint8Array.of(0, 255), sql: "'\\x00\\xFF'::BLOB", duckDb: "BLOB" },
  TIMESTAMP: { value: atUs + 7n, sql: "make_timestamp(979084800000007)", duckDb: "TIMESTAMP" },
} satisfies Record<string, { value: Scalar; sql: string; duckDb: string }>;

export type TypeName = keyof typeof everyType;
export const typeNames = Object.keys(everyType) as TypeName[];
