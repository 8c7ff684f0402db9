import { DataType } from "@millrace/contracts/inference/model_config";
import type { Datatype } from "@millrace/tensor";

/** The protocol's datatypes in the words of Triton's model configuration. */
export const configDatatype: Readonly<Record<Datatype, DataType>> = {
  BOOL: DataType.TYPE_BOOL,
  UINT8: DataType.TYPE_UINT8,
  UINT16: DataType.TYPE_UINT16,
  UINT32: DataType.TYPE_UINT32,
  UINT64: DataType.TYPE_UINT64,
  INT8: DataType.TYPE_INT8,
  INT16: DataType.TYPE_INT16,
  INT32: DataType.TYPE_INT32,
  INT64: DataType.TYPE_INT64,
  FP16: DataType.TYPE_FP16,
  FP32: DataType.TYPE_FP32,
  FP64: DataType.TYPE_FP64,
  BYTES: DataType.TYPE_STRING,
};

const words = new Map<number, string>(Object.entries(DataType).map(([word, number]) => [number, word]));

/** `TYPE_FP32`. */
export const configDatatypeWord = (type: DataType): string => words.get(type) ?? String(type);
