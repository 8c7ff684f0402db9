export { datatypeOfElementType, onnxElementType } from "./datatype.ts";
export { describeModel } from "./describe-model.ts";
export { exportableActivations } from "./export-activation.ts";
export { exportableLayers } from "./export-layers.ts";
export { exportNetwork, type NetworkOutput, type NetworkToExport } from "./export-network.ts";
export {
  type AttributeValue,
  type ConstantData,
  type Dimension,
  GraphBuilder,
  type GraphValue,
  type NodeOptions,
} from "./graph-builder.ts";
export { LayerUnsupportedError } from "./layer-unsupported-error.ts";
export { ModelInvalidError } from "./model-invalid-error.ts";
export {
  type Categories,
  type FittedPreparation,
  type InputDatatype,
  type NetworkInput,
  preparedColumns,
} from "./network-input.ts";
export { type ReadModelLimits, readModel } from "./read-model.ts";
