import { create, toBinary } from "@bufbuild/protobuf";
import {
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
} from "@millrace/contracts/onnx/onnx";
import { OnnxSession } from "@millrace/tensor/onnxruntime";
import { describe, expect, test } from "vitest";
import { describeModel } from "./describe-model.ts";
import { GraphBuilder } from "./graph-builder.ts";
import { readModel } from "./read-model.ts";

/** y = 2 x + 1, and the category of s. */
const twoOutputs = (): GraphBuilder => {
  const graph = new GraphBuilder("two_outputs");
  const x = graph.input("x", "FP32", ["batch", 1]);
  const s = graph.input("s", "BYTES", ["batch", 1]);
  const doubled = graph.node("Mul", [x, graph.constant("FP32", Float32Array.of(2), [1])]);
  const one = graph.constant("FP32", Float32Array.of(1), [1]);
  graph.output("y", graph.node("Add", [doubled, one]), "FP32", ["batch", 1]);
  const category = graph.node("LabelEncoder", [s], {
    domain: "ai.onnx.ml",
    attributes: { keys_strings: ["ATL", "ORD"], values_int64s: [0n, 1n], default_int64: -1n },
  });
  graph.output("category", category, "INT64", ["batch", 1]);
  return graph;
};

const bytesOf = (array: Float32Array | BigInt64Array): Uint8Array => new Uint8Array(array.buffer);

describe("a graph that was built", () => {
  test("is run by onnxruntime", async () => {
    const session = await OnnxSession.create(twoOutputs().toBytes());
    const text = Buffer.from("\x03\0\0\0ORD\x03\0\0\0XXX");
    const [y, category] = await session.run([
      { name: "x", datatype: "FP32", shape: [2, 1], data: bytesOf(Float32Array.of(3, -1)) },
      { name: "s", datatype: "BYTES", shape: [2, 1], data: text },
    ]);
    expect(y?.data).toEqual(bytesOf(Float32Array.of(7, -1)));
    expect(category?.data).toEqual(bytesOf(BigInt64Array.of(1n, -1n)));
    await session.close();
  });

  test("is the same bytes each time", () => {
    expect(twoOutputs().toBytes()).toEqual(twoOutputs().toBytes());
  });

  test("is described by name, datatype, shape and batch", () => {
    const signature = describeModel(readModel(twoOutputs().toBytes()));
    expect(signature.inputs).toMatchObject([
      { name: "x", datatype: "FP32", shape: [-1n, 1n], batched: true },
      { name: "s", datatype: "BYTES", shape: [-1n, 1n], batched: true },
    ]);
    expect(signature.outputs.map(({ name }) => name)).toEqual(["y", "category"]);
  });

  test("refuses a value named twice, and a constant of another length than its shape", () => {
    const graph = new GraphBuilder("g");
    graph.input("x", "FP32", [1]);
    expect(() => graph.input("x", "FP32", [1])).toThrow("already has a value x");
    expect(() => graph.constant("FP32", Float32Array.of(1, 2), [3])).toThrow("needs 3 elements; there are 2");
  });
});

describe("a model", () => {
  test("is not batched where one tensor's first dimension is fixed, or named differently", () => {
    const fixed = new GraphBuilder("fixed");
    const x = fixed.input("x", "FP32", ["batch", 2]);
    fixed.output("sum", fixed.node("ReduceSum", [x], { attributes: { keepdims: 0n } }), "FP32", []);
    expect(describeModel(fixed.build()).inputs[0]).toMatchObject({ batched: false });
    const named = new GraphBuilder("named");
    named.output("y", named.node("NonZero", [named.input("x", "FP32", ["n"])]), "INT64", ["rank", "found"]);
    expect(describeModel(named.build()).inputs[0]).toMatchObject({ batched: false });
  });

  test.each([
    ["no bytes", Uint8Array.of(), "is empty"],
    ["text", Buffer.from("this is no model"), "does not parse"],
    ["a model cut short", twoOutputs().toBytes().slice(0, 200), "does not parse"],
  ])("of %s is refused", (_what, bytes, why) => {
    expect(() => readModel(bytes)).toThrow(why);
  });

  test("beyond the limits is refused", () => {
    const bytes = twoOutputs().toBytes();
    expect(() => readModel(bytes, { maxBytes: 10 })).toThrow("at most 10 are read");
    expect(() => readModel(bytes, { maxNodes: 2 })).toThrow("more than 2 nodes");
  });

  test("with weights in another file is refused, naming them", () => {
    const model = twoOutputs().build();
    const weights = model.graph?.initializer[0];
    if (weights !== undefined) {
      weights.dataLocation = TensorProto_DataLocation.EXTERNAL;
    }
    expect(() => readModel(toBinary(ModelProtoSchema, model))).toThrow("constant_0 lie in another file");
    const asked: string[] = [];
    const hasExternalFile = (path: string) => asked.push(path) > 0 && path === "weights.bin";
    const withLocation = (value: string) => {
      const [first] = model.graph?.initializer ?? [];
      if (first === undefined) throw new TypeError("The model has no weights.");
      first.externalData = [create(StringStringEntryProtoSchema, { key: "location", value })];
      return toBinary(ModelProtoSchema, model);
    };
    expect(() => readModel(withLocation("weights.bin"), { hasExternalFile })).not.toThrow();
    expect(asked).toEqual(["weights.bin"]);
    expect(() => readModel(withLocation("lost.bin"), { hasExternalFile })).toThrow("lost.bin, which is not there");
    expect(() => readModel(withLocation(""), { hasExternalFile })).toThrow("an unnamed file");
  });

  test("whose output is no tensor of the protocol is refused, naming it", () => {
    const model = twoOutputs().build();
    const output = model.graph?.output[0];
    if (output?.type !== undefined) {
      output.type.value = { case: "sequenceType", value: { $typeName: "onnx.TypeProto.Sequence" } };
    }
    expect(() => describeModel(model)).toThrow("y must be a tensor; it is sequenceType");
  });
});
