import { create } from "@bufbuild/protobuf";
import {
  type Signature,
  SignatureSchema,
  type TensorSpec,
  TensorSpecSchema,
} from "@millrace/contracts/millrace/model/v1/model_package";
import type { ModelProto, TypeProto_Tensor, ValueInfoProto } from "@millrace/contracts/onnx/onnx";
import { datatypeOfElementType, elementTypeName } from "./datatype.ts";
import { ModelInvalidError } from "./model-invalid-error.ts";

/**
 * The inputs and outputs of a model's graph: names, Open Inference Protocol datatypes, shapes (-1 is any) and whether
 * the first dimension is the batch. It is the batch of the whole model, or of nothing: every input and output has a
 * first dimension that is not fixed, and those that are named share one name. Meaning, description and categories are
 * left empty: a graph does not know them. An output whose rank the graph does not tell has an empty shape.
 *
 * @throws ModelInvalidError for an input or output that is no tensor (a sequence or a map), has an element type that
 * the protocol lacks, or has a name twice.
 */
export const describeModel = (model: ModelProto): Signature => {
  const graph = model.graph;
  if (graph === undefined) {
    throw new ModelInvalidError("The model has no graph.");
  }
  // Before IR version 4 every initializer had to be listed as an input too.
  const initializers = new Set(graph.initializer.map(({ name }) => name));
  const inputs = graph.input.filter(({ name }) => !initializers.has(name));
  const all = [...inputs, ...graph.output].map(tensorOf);
  if (graph.output.length === 0) {
    throw new ModelInvalidError("The model has no output.");
  }
  const batched = isBatched(all.map(({ type }) => type));
  const specs = all.map(({ name, type }) => describeTensor(name, type, batched));
  refuseRepeatedNames(specs.slice(0, inputs.length), "inputs");
  refuseRepeatedNames(specs.slice(inputs.length), "outputs");
  return create(SignatureSchema, { inputs: specs.slice(0, inputs.length), outputs: specs.slice(inputs.length) });
};

const tensorOf = (info: ValueInfoProto): { name: string; type: TypeProto_Tensor } => {
  const name = info.name ?? "";
  if (info.type?.value.case !== "tensorType") {
    throw new ModelInvalidError(`${name} must be a tensor; it is ${info.type?.value.case ?? "of no type"}.`, {
      metadata: { tensor: name },
    });
  }
  return { name, type: info.type.value.value };
};

const isBatched = (types: readonly TypeProto_Tensor[]): boolean => {
  const names = new Set<string>();
  for (const type of types) {
    const first = type.shape?.dim[0];
    if (type.shape !== undefined && (first === undefined || first.value.case === "dimValue")) {
      return false;
    }
    if (first?.value.case === "dimParam" && first.value.value !== "") {
      names.add(first.value.value);
    }
  }
  return names.size <= 1;
};

const describeTensor = (name: string, type: TypeProto_Tensor, batched: boolean): TensorSpec => {
  const datatype = datatypeOfElementType(type.elemType ?? 0);
  if (datatype === undefined) {
    throw new ModelInvalidError(
      `${name} has the element type ${elementTypeName(type.elemType ?? 0)}, which no tensor of the Open Inference Protocol has.`,
      {
        metadata: { tensor: name },
      },
    );
  }
  const shape = (type.shape?.dim ?? []).map(({ value }) => (value.case === "dimValue" ? value.value : -1n));
  return create(TensorSpecSchema, { name, datatype, shape, batched });
};

const refuseRepeatedNames = (specs: readonly TensorSpec[], side: string): void => {
  const seen = new Set<string>();
  for (const { name } of specs) {
    if (name === "" || seen.has(name)) {
      throw new ModelInvalidError(name === "" ? `One of the ${side} has no name.` : `Two ${side} are named ${name}.`);
    }
    seen.add(name);
  }
};
