import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "@millrace/contracts/onnx/onnx";
import type { Datatype } from "@millrace/tensor";
import { onnxElementType } from "./datatype.ts";

/** A tensor inside of a graph that is being built: what a node gave, an input, or a constant. */
export interface GraphValue {
  readonly name: string;
}

/** A dimension: a fixed length, or the name of one that differs from call to call. */
export type Dimension = number | string;

/** The elements of a constant, row-major. FP16 is given as its bit patterns in a Uint16Array. */
export type ConstantData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | readonly string[]
  | readonly boolean[];

/** An attribute of a node. A number is a FLOAT, a bigint an INT: ONNX tells them apart, and JavaScript does not. */
export type AttributeValue =
  | number
  | bigint
  | string
  | readonly number[]
  | readonly bigint[]
  | readonly string[]
  | { readonly tensor: ConstantData; readonly datatype: Datatype; readonly shape: readonly number[] };

export interface NodeOptions {
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  /** The operator's domain. Default: ONNX's own; `ai.onnx.ml` for LabelEncoder and the like. */
  readonly domain?: string;
  /** The name of the node's output. Default: made from the operator and a number. */
  readonly output?: string;
}

const opset = 21n;
const machineLearningOpset = 4n;
const irVersion = 10n;

/**
 * Builds an ONNX model, node by node, in the order in which it will run. The same calls give the same bytes. Operator
 * set 21 and `ai.onnx.ml` 4, as IR version 10.
 *
 * ```ts
 * const graph = new GraphBuilder("double");
 * const x = graph.input("x", "FP32", ["batch", 1]);
 * graph.output("y", graph.node("Mul", [x, graph.constant("FP32", Float32Array.of(2), [1])]), "FP32", ["batch", 1]);
 * const bytes = graph.toBytes();
 * ```
 */
export class GraphBuilder {
  readonly #name: string;
  readonly #inputs: ValueInfoProto[] = [];
  readonly #outputs: ValueInfoProto[] = [];
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #names = new Set<string>();
  readonly #numbers = new Map<string, number>();
  readonly #domains = new Set<string>();

  constructor(name: string) {
    this.#name = name;
  }

  input(name: string, datatype: Datatype, shape: readonly Dimension[]): GraphValue {
    this.#inputs.push(valueInfo(this.#claim(name), datatype, shape));
    return { name };
  }

  /** @param shape the product of its dimensions is the number of elements. @param hint the constant's name begins so. */
  constant(datatype: Datatype, data: ConstantData, shape: readonly number[], hint = "constant"): GraphValue {
    const name = this.#fresh(hint);
    this.#initializers.push(tensor(name, datatype, data, shape));
    return { name };
  }

  /** Adds a node with one output, which is answered. */
  node(operator: string, inputs: readonly GraphValue[], options: NodeOptions = {}): GraphValue {
    const { attributes = {}, domain = "" } = options;
    const name = options.output === undefined ? this.#fresh(operator) : this.#claim(options.output);
    if (domain !== "") {
      this.#domains.add(domain);
    }
    this.#nodes.push(
      create(NodeProtoSchema, {
        name,
        opType: operator,
        domain,
        input: inputs.map((input) => input.name),
        output: [name],
        attribute: Object.entries(attributes).map(([key, value]) => attributeOf(key, value)),
      }),
    );
    return { name };
  }

  /** Makes a value an output of the graph, under a name of its own. */
  output(name: string, value: GraphValue, datatype: Datatype, shape: readonly Dimension[]): void {
    if (value.name !== name) {
      this.node("Identity", [value], { output: name });
    }
    this.#outputs.push(valueInfo(name, datatype, shape));
  }

  build(): ModelProto {
    return create(ModelProtoSchema, {
      irVersion,
      producerName: "millrace",
      opsetImport: [
        { domain: "", version: opset },
        ...(this.#domains.has("ai.onnx.ml") ? [{ domain: "ai.onnx.ml", version: machineLearningOpset }] : []),
      ],
      graph: {
        name: this.#name,
        input: this.#inputs,
        output: this.#outputs,
        node: this.#nodes,
        initializer: this.#initializers,
      },
    });
  }

  toBytes(): Uint8Array {
    return toBinary(ModelProtoSchema, this.build());
  }

  #claim(name: string): string {
    if (name === "" || this.#names.has(name)) {
      throw new TypeError(name === "" ? "A value of a graph needs a name." : `The graph already has a value ${name}.`);
    }
    this.#names.add(name);
    return name;
  }

  #fresh(hint: string): string {
    let number = this.#numbers.get(hint) ?? 0;
    while (this.#names.has(`${hint}_${number}`)) {
      number += 1;
    }
    this.#numbers.set(hint, number + 1);
    return this.#claim(`${hint}_${number}`);
  }
}

const valueInfo = (name: string, datatype: Datatype, shape: readonly Dimension[]): ValueInfoProto =>
  create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: "tensorType",
        value: {
          elemType: onnxElementType(datatype),
          shape: {
            dim: shape.map((length) => ({
              value:
                typeof length === "number"
                  ? { case: "dimValue" as const, value: BigInt(length) }
                  : { case: "dimParam" as const, value: length },
            })),
          },
        },
      },
    },
  });

const tensor = (name: string, datatype: Datatype, data: ConstantData, shape: readonly number[]): TensorProto => {
  const elements = shape.reduce((product, length) => product * length, 1);
  if (elements !== data.length) {
    throw new TypeError(
      `${name}: a shape of [${shape.join(", ")}] needs ${elements} elements; there are ${data.length}.`,
    );
  }
  const message = create(TensorProtoSchema, { name, dataType: onnxElementType(datatype), dims: shape.map(BigInt) });
  if (ArrayBuffer.isView(data)) {
    message.rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  } else if (datatype === "BYTES") {
    message.stringData = data.map((text) => new TextEncoder().encode(String(text)));
  } else {
    message.rawData = Uint8Array.from(data, Number);
  }
  return message;
};

const attributeOf = (name: string, value: AttributeValue): AttributeProto => {
  const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
  if (typeof value === "number") {
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value });
  }
  if (typeof value === "bigint") {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: value });
  }
  if (typeof value === "string") {
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: utf8(value) });
  }
  if ("tensor" in value) {
    const t = tensor(name, value.datatype, value.tensor, value.shape);
    return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t });
  }
  if (value.every((element) => typeof element === "bigint")) {
    return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: [...value] });
  }
  if (value.every((element) => typeof element === "number")) {
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOATS, floats: [...value] });
  }
  return create(AttributeProtoSchema, {
    name,
    type: AttributeType.STRINGS,
    strings: value.map((text) => utf8(String(text))),
  });
};
