/** The datatypes of the Open Inference Protocol that millrace carries, by their name on the wire. */
export type Datatype =
  | "BOOL"
  | "UINT8"
  | "UINT16"
  | "UINT32"
  | "UINT64"
  | "INT8"
  | "INT16"
  | "INT32"
  | "INT64"
  | "FP16"
  | "FP32"
  | "FP64"
  | "BYTES";

/** Bytes of one element, in row-major little-endian layout; 0 for BYTES, whose elements differ in size. */
export const elementBytes: Readonly<Record<Datatype, number>> = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: 0,
};

/** Whether a word on the wire names a datatype that millrace carries. BF16 and the 8-bit floats do not. */
export const isDatatype = (word: string): word is Datatype => Object.hasOwn(elementBytes, word);
