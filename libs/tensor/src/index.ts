export { checkText, decodeBytes, decodeStrings, encodeBytes, encodeStrings } from "./bytes-elements.ts";
export { checkByteCount, checkTensor, shapeFits, shapeText } from "./check-tensor.ts";
export { type Datatype, elementBytes, isDatatype } from "./datatype.ts";
export { byteCount, elementCount, type Tensor, type TensorSpec } from "./tensor.ts";
export { TensorInvalidError } from "./tensor-invalid-error.ts";
export { bytesOf, halfToNumber, type TypedView, toNumbers, typedView } from "./typed-view.ts";
