import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { Scalar } from "../compiled.ts";
import { type ByteReader, RowCorruptError } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";

/** The type of a list's elements; undefined where the type is no list. */
export function elementType(type: ValueType): ValueType | undefined {
  switch (type) {
    case ValueType.BOOL_LIST:
      return ValueType.BOOL;
    case ValueType.INT64_LIST:
      return ValueType.INT64;
    case ValueType.DOUBLE_LIST:
      return ValueType.DOUBLE;
    case ValueType.FLOAT_LIST:
      return ValueType.FLOAT;
    case ValueType.STRING_LIST:
      return ValueType.STRING;
    case ValueType.BYTES_LIST:
      return ValueType.BYTES;
    case ValueType.TIMESTAMP_LIST:
      return ValueType.TIMESTAMP;
    default:
      return undefined;
  }
}

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
  writer.varint(value.length);
  for (const item of value) {
    writer.u8(item === null ? 0 : 1);
    if (item !== null) writeScalar(writer, element, item);
  }
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
  const length = reader.varint();
  const list: Scalar[] = [];
  for (let index = 0; index < length; index++) list.push(reader.u8() === 0 ? null : readScalar(reader, element));
  return list;
}
