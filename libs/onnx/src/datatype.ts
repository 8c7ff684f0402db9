import { TensorProto_DataType as DataType } from "@millrace/contracts/onnx/onnx";
import type { Datatype } from "@millrace/tensor";

const onnxTypeOf: Readonly<Record<Datatype, DataType>> = {
  BOOL: DataType.BOOL,
  UINT8: DataType.UINT8,
  UINT16: DataType.UINT16,
  UINT32: DataType.UINT32,
  UINT64: DataType.UINT64,
  INT8: DataType.INT8,
  INT16: DataType.INT16,
  INT32: DataType.INT32,
  INT64: DataType.INT64,
  FP16: DataType.FLOAT16,
  FP32: DataType.FLOAT,
  FP64: DataType.DOUBLE,
  BYTES: DataType.STRING,
};

const datatypeOf = new Map<number, Datatype>(
  Object.entries(onnxTypeOf).map(([name, type]) => [type, name as Datatype]),
);
const onnxNames = new Map<number, string>(Object.entries(DataType).map(([name, number]) => [number, name]));

/** The ONNX element type of an Open Inference Protocol datatype. */
export const onnxElementType = (datatype: Datatype): DataType => onnxTypeOf[datatype];

/** The Open Inference Protocol name of an ONNX element type; undefined for one that the protocol lacks, such as BFLOAT16. */
export const datatypeOfElementType = (elementType: number): Datatype | undefined => datatypeOf.get(elementType);

/** The ONNX name of an element type, for messages. */
export const elementTypeName = (elementType: number): string => onnxNames.get(elementType) ?? `number ${elementType}`;
