import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { Scalar } from "../compiled.ts";
import { elementType } from "../list-type.ts";
import { type ByteReader, RowCorruptError } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";

/** Writes one value that is not null, in the way of its type. */
export function writeScalar(writer: ByteWriter, type: ValueType, value: Exclude<Scalar, null>): void {
  switch (typeof value) {
    case "boolean":
      writer.u8(value ? 1 : 0);
      return;
    case "bigint":
      writer.bigint(value);
      return;
    case "number":
      if (type === ValueType.FLOAT) writer.f32(value);
      else writer.f64(value);
      return;
    case "string":
      writer.string(value);
      return;
  }
  if (value instanceof Uint8Array) {
    writer.bytes(value);
    return;
  }
  const element = elementType(type);
  if (element === undefined) throw new RowCorruptError(`a list cannot be written as type ${type}`);
  const hasNulls = value.includes(null);
  writer.varint(value.length * 2 + (hasNulls ? 1 : 0));
  for (let first = 0; hasNulls && first < value.length; first += 8) {
    let bits = 0;
    for (let bit = 0; bit < 8; bit++) if ((value[first + bit] ?? null) !== null) bits |= 1 << bit;
    writer.u8(bits);
  }
  for (const item of value) if (item !== null) writeScalar(writer, element, item);
}

/** Reads what writeScalar wrote for the same type. */
export function readScalar(reader: ByteReader, type: ValueType): Exclude<Scalar, null> {
  switch (type) {
    case ValueType.BOOL:
      return reader.u8() !== 0;
    case ValueType.INT64:
    case ValueType.TIMESTAMP:
      return reader.bigint();
    case ValueType.DOUBLE:
      return reader.f64();
    case ValueType.FLOAT:
      return reader.f32();
    case ValueType.STRING:
      return reader.string();
    case ValueType.BYTES:
      return reader.bytes();
  }
  const element = elementType(type);
  if (element === undefined) throw new RowCorruptError(`unknown value type ${type}`);
  const head = reader.varint();
  const length = Math.floor(head / 2);
  const present = head % 2 === 0 ? undefined : reader.raw(Math.ceil(length / 8));
  const list: Scalar[] = [];
  for (let index = 0; index < length; index++) {
    const isNull = present !== undefined && (((present[index >> 3] ?? 0) >> (index & 7)) & 1) === 0;
    list.push(isNull ? null : readScalar(reader, element));
  }
  return list;
}

/** Passes over what writeScalar wrote for the type. */
export function skipScalar(reader: ByteReader, type: ValueType): void {
  if (type === ValueType.BOOL) reader.skip(1);
  else if (type === ValueType.FLOAT) reader.skip(4);
  else if (type === ValueType.DOUBLE) reader.skip(8);
  else if (type === ValueType.STRING || type === ValueType.BYTES) reader.skip(reader.varint());
  else readScalar(reader, type);
}
