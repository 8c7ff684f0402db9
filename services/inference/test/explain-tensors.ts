import { bytesOf, encodeStrings } from "@millrace/tensor";

/** FP32 of so many rows. */
export const tensor = (name: string, values: readonly number[], rows: number) => ({
  name,
  datatype: "FP32",
  shape: [BigInt(rows), BigInt(values.length / rows)],
  data: bytesOf(Float32Array.from(values)),
});

/** BYTES [rows, 1]. */
export const texts = (name: string, values: readonly string[]) => ({
  name,
  datatype: "BYTES",
  shape: [BigInt(values.length), 1n],
  data: encodeStrings(values),
});

/** INT64 [rows, 1]. */
export const wholes = (name: string, values: readonly bigint[]) => ({
  name,
  datatype: "INT64",
  shape: [BigInt(values.length), 1n],
  data: bytesOf(BigInt64Array.from(values)),
});
