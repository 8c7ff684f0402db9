import { fromBinary } from "@bufbuild/protobuf";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
  TensorProto_DataLocation,
} from "@millrace/contracts/onnx/onnx";
import { ModelInvalidError } from "./model-invalid-error.ts";

/** What readModel refuses to go beyond. */
export interface ReadModelLimits {
  /** The longest file, in bytes. Default 1 GiB; protobuf itself ends at 2 GiB. */
  readonly maxBytes?: number;
  /** The most nodes, subgraphs and functions included. Default 200,000. */
  readonly maxNodes?: number;
  /** How deep subgraphs (If, Loop, Scan) may nest. Default 16. */
  readonly maxDepth?: number;
  /**
   * Asked for each file that holds weights of the model, by its path relative to the model: whether it is there. Without
   * this a model with weights in other files is refused.
   */
  readonly hasExternalFile?: (path: string) => boolean;
}

/** The newest IR that the pinned onnxruntime reads. */
const newestIrVersion = 13n;

/**
 * Parses an ONNX model and checks what must hold before anyone opens it: it is a whole protobuf message within the size
 * limits, has a graph, names its operator sets, and keeps its weights inside, or in files that `hasExternalFile` knows.
 *
 * @throws ModelInvalidError that says which part is wrong.
 */
export const readModel = (bytes: Uint8Array, limits: ReadModelLimits = {}): ModelProto => {
  const { maxBytes = 2 ** 30, maxNodes = 200_000, maxDepth = 16, hasExternalFile } = limits;
  if (bytes.length === 0) {
    throw new ModelInvalidError("The model file is empty.");
  }
  if (bytes.length > maxBytes) {
    throw new ModelInvalidError(`The model file has ${bytes.length} bytes; at most ${maxBytes} are read.`);
  }
  const model = parse(bytes);
  if (model.graph === undefined) {
    throw new ModelInvalidError("The model has no graph.");
  }
  if (model.irVersion === undefined || model.irVersion < 3n) {
    throw new ModelInvalidError(`The model's IR version must be 3 or newer; it is ${model.irVersion ?? "missing"}.`);
  }
  if (model.irVersion > newestIrVersion) {
    throw new ModelInvalidError(
      `The model's IR version is ${model.irVersion}; versions up to ${newestIrVersion} are read.`,
    );
  }
  if (model.opsetImport.length === 0) {
    throw new ModelInvalidError("The model names no operator set (opset_import is empty).");
  }
  const count = { nodes: 0, maxNodes, maxDepth, hasExternalFile };
  checkGraph(model.graph, "graph", 0, count);
  for (const declared of model.functions) {
    checkNodes(declared.node, `function ${declared.name ?? ""}`, 0, count);
  }
  return model;
};

const parse = (bytes: Uint8Array): ModelProto => {
  try {
    return fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false });
  } catch (cause) {
    throw new ModelInvalidError("The file is no ONNX model: it does not parse as one.", { cause });
  }
};

interface Count {
  nodes: number;
  readonly maxNodes: number;
  readonly maxDepth: number;
  readonly hasExternalFile: ReadModelLimits["hasExternalFile"];
}

const checkGraph = (graph: GraphProto, path: string, depth: number, count: Count): void => {
  if (depth > count.maxDepth) {
    throw new ModelInvalidError(`Subgraphs nest deeper than ${count.maxDepth} at ${path}.`);
  }
  for (const tensor of graph.initializer) {
    checkTensor(tensor, `${path}.initializer ${tensor.name ?? ""}`, count);
  }
  for (const sparse of graph.sparseInitializer) {
    for (const tensor of [sparse.values, sparse.indices]) {
      if (tensor !== undefined) {
        checkTensor(tensor, `${path}.sparse_initializer ${tensor.name ?? ""}`, count);
      }
    }
  }
  checkNodes(graph.node, path, depth, count);
};

const checkNodes = (nodes: readonly NodeProto[], path: string, depth: number, count: Count): void => {
  count.nodes += nodes.length;
  if (count.nodes > count.maxNodes) {
    throw new ModelInvalidError(`The model has more than ${count.maxNodes} nodes.`);
  }
  for (const node of nodes) {
    const at = `${path}.node ${node.name || node.output[0] || node.opType || ""}`;
    for (const attribute of node.attribute) {
      for (const tensor of attribute.t === undefined ? attribute.tensors : [attribute.t, ...attribute.tensors]) {
        checkTensor(tensor, `${at}.${attribute.name ?? ""}`, count);
      }
      for (const graph of attribute.g === undefined ? attribute.graphs : [attribute.g, ...attribute.graphs]) {
        checkGraph(graph, `${at}.${attribute.name ?? ""}`, depth + 1, count);
      }
    }
  }
};

const checkTensor = (tensor: TensorProto, path: string, { hasExternalFile }: Count): void => {
  if (tensor.dataLocation === TensorProto_DataLocation.EXTERNAL || tensor.externalData.length > 0) {
    checkExternal(tensor, path, hasExternalFile);
  }
  for (const dimension of tensor.dims) {
    if (dimension < 0n) {
      throw new ModelInvalidError(`${path} has a negative dimension: [${tensor.dims.join(", ")}].`);
    }
  }
};

const checkExternal = (
  tensor: TensorProto,
  path: string,
  hasExternalFile: ReadModelLimits["hasExternalFile"],
): void => {
  const location = tensor.externalData.find(({ key }) => key === "location")?.value ?? "";
  if (hasExternalFile === undefined) {
    throw new ModelInvalidError(`The weights of ${path} lie in another file; a model must hold all of its weights.`, {
      metadata: { tensor: tensor.name ?? "" },
    });
  }
  if (location === "" || !hasExternalFile(location)) {
    const what = location === "" ? "an unnamed file" : `the file ${location}, which is not there`;
    throw new ModelInvalidError(`The weights of ${path} lie in ${what}.`, {
      metadata: { tensor: tensor.name ?? "", file: location },
    });
  }
};
