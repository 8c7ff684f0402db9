import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import { ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { bytesOf, type Datatype, encodeStrings, type Tensor } from "@millrace/tensor";
import { describe, expect, test } from "vitest";
import type { Servable } from "../serving/servable.ts";
import { InferRecordForm } from "./infer-record-form.ts";
import { RecordWriter } from "./record-writer.ts";

const tensor = (name: string, datatype: Datatype, shape: number[], data: ArrayBufferView | string[]): Tensor => ({
  name,
  datatype,
  shape,
  data: Array.isArray(data) ? encodeStrings(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

const served = (bound: Record<string, string> = {}) =>
  ({
    name: "flight_delay",
    version: "3",
    origin: {
      reference: "",
      digest: "sha256:ab",
      repository: "flights",
      manifest: create(ModelPackageSchema, {
        features: { inputs: Object.entries(bound).map(([input, feature]) => ({ input, feature })) },
      }),
    },
  }) as unknown as Servable;

const call = {
  arrivedMs: 1_700_000_000_123.5,
  answeredMs: 1_700_000_000_125,
  latencyMs: 1.5,
  traceId: "ab".repeat(16),
};

/** Row after row, as what reads the log decodes them. */
const logged = (inputs: Tensor[], outputs: Tensor[], rows: number, bound: Record<string, string> = {}) => {
  const encode = new InferRecordForm(served(bound)).rows(inputs, outputs, rows, call);
  const writer = new RecordWriter();
  return Array.from({ length: rows }, (_, row) => {
    encode(writer, row, Buffer.from(`id/${row}`));
    const bytes = writer.take();
    const prediction = fromBinary(PredictionSchema, bytes);
    // A second way to the same bytes: nothing unknown, nothing twice, nothing of a wrong length.
    expect(toBinary(PredictionSchema, prediction).byteLength).toBe(bytes.byteLength);
    return prediction;
  });
};

describe("a row of tensors as a prediction", () => {
  test("says who answered, when, how long it took, and what came out", () => {
    const [first, second] = logged(
      [tensor("x", "FP32", [2, 1], Float32Array.of(1.5, -2))],
      [tensor("y", "FP64", [2, 2], Float64Array.of(0.1, 0.2, 0.3, 0.4)), tensor("z", "BYTES", [2, 1], ["ä", ""])],
      2,
    );
    expect(first).toMatchObject({
      id: "id/0",
      model: "flight_delay",
      modelVersion: "3",
      packageDigest: "sha256:ab",
      packageRepository: "flights",
      eventTime: { seconds: 1_700_000_000n, nanos: 123_500_000 },
      answeredAt: { seconds: 1_700_000_000n, nanos: 125_000_000 },
      latencyUs: 1500n,
      traceId: "ab".repeat(16),
      features: [{ name: "x", value: { value: { case: "float", value: 1.5 } } }],
      outputs: [
        { name: "y", values: [0.1, 0.2], strings: [] },
        { name: "z", values: [], strings: ["ä"] },
      ],
    });
    expect(second).toMatchObject({ id: "id/1", outputs: [{ values: [0.3, 0.4] }, { strings: [""] }] });
  });

  test.each<[Datatype, ArrayBufferView | string[], string, unknown]>([
    ["BOOL", Uint8Array.of(1), "bool", true],
    ["UINT8", Uint8Array.of(255), "int64", 255n],
    ["UINT16", Uint16Array.of(65_535), "int64", 65_535n],
    ["UINT32", Uint32Array.of(4_294_967_295), "int64", 4_294_967_295n],
    ["UINT64", BigUint64Array.of(2n ** 63n - 1n), "int64", 2n ** 63n - 1n],
    ["UINT64", BigUint64Array.of(2n ** 64n - 1n), "int64", 2n ** 63n - 1n],
    ["INT8", Int8Array.of(-128), "int64", -128n],
    ["INT16", Int16Array.of(-1), "int64", -1n],
    ["INT32", Int32Array.of(-2_147_483_648), "int64", -2_147_483_648n],
    ["INT64", BigInt64Array.of(-(2n ** 63n)), "int64", -(2n ** 63n)],
    ["FP16", Uint16Array.of(0x3e00), "float", 1.5],
    ["FP32", Float32Array.of(Math.fround(0.1)), "float", Math.fround(0.1)],
    ["FP64", Float64Array.of(0.1), "double", 0.1],
    ["BYTES", ["ATL"], "string", "ATL"],
  ])("has an element of %s in its own type (%#)", (datatype, data, kind, value) => {
    const [row] = logged([tensor("x", datatype, [1, 1], data)], [], 1);
    expect(row?.features[0]?.value?.value).toEqual({ case: kind, value });
  });

  test("has a feature for each of few elements, and one list for many", () => {
    const narrow = tensor("narrow", "INT64", [2, 3], BigInt64Array.from([1n, 2n, 3n, 4n, 5n, 6n]));
    const wide = tensor(
      "wide",
      "FP32",
      [2, 20],
      Float32Array.from({ length: 40 }, (_, at) => at),
    );
    const texts = tensor(
      "texts",
      "BYTES",
      [2, 17],
      Array.from({ length: 34 }, (_, at) => `t${at}`),
    );
    const [, second] = logged([narrow, wide, texts], [], 2);
    expect(second?.features.map(({ name }) => name)).toEqual(["narrow[0]", "narrow[1]", "narrow[2]", "wide", "texts"]);
    expect(second?.features.map(({ value }) => value?.value)).toMatchObject([
      { value: 4n },
      { value: 5n },
      { value: 6n },
      {
        case: "list",
        value: { values: { case: "floats", value: { values: Array.from({ length: 20 }, (_, at) => 20 + at) } } },
      },
      {
        value: { values: { case: "strings", value: { values: Array.from({ length: 17 }, (_, at) => `t${17 + at}`) } } },
      },
    ]);
  });

  test("has the feature's name where the package binds one, and null where the graph reads not-a-number as one", () => {
    const inputs = [
      tensor("delay", "FP32", [1, 1], Float32Array.of(Number.NaN)),
      tensor("other", "FP32", [1, 1], Float32Array.of(Number.NaN)),
    ];
    const [row] = logged(inputs, [], 1, { delay: "airport__delay" });
    expect(row?.features).toMatchObject([
      { name: "airport__delay" },
      { name: "other", value: { value: { value: Number.NaN } } },
    ]);
    expect(row?.features[0]?.value).toBeUndefined();
  });

  test("is laid out where its bytes begin anywhere", () => {
    const bytes = new Uint8Array(9);
    bytes.set(bytesOf(Float32Array.of(7, 8)), 1);
    const [, second] = logged([{ name: "x", datatype: "FP32", shape: [2, 1], data: bytes.subarray(1) }], [], 2);
    expect(second?.features[0]?.value?.value.value).toBe(8);
  });
});
