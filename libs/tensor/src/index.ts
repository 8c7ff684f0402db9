export { checkText, decodeBytes, decodeStrings, encodeBytes, encodeStrings } from "./bytes-elements.ts";
export { checkByteCount, checkTensor, shapeFits, shapeText } from "./check-tensor.ts";
export { type Datatype, elementBytes, isDatatype } from "./datatype.ts";
export {
  type Batch,
  type CloseReason,
  DynamicBatching,
  type Queued,
  type Swept,
  type Take,
} from "./dynamic-batching.ts";
export { type ExecutionProviderName, executionProviderNames } from "./execution-provider-name.ts";
export { keepTelemetryOff } from "./keep-telemetry-off.ts";
export { ModelFailedError } from "./model-failed-error.ts";
export { ModelInvalidError } from "./model-invalid-error.ts";
export { type BatchingOptions, defaultQueuePolicy, levelOf, QueueFullError, type QueuePolicy } from "./queue-policy.ts";
export { Slab } from "./slab.ts";
export { byteCount, elementCount, type Tensor, type TensorSpec } from "./tensor.ts";
export { TensorInvalidError } from "./tensor-invalid-error.ts";
export { fromTypedContents, hasTypedForm, type TypedContents, toTypedContents } from "./typed-contents.ts";
export { bytesOf, halfToNumber, type TypedView, toNumbers, typedView } from "./typed-view.ts";
