import { bytesOf, encodeStrings, type Tensor } from "@millrace/tensor";
import { expect, test } from "vitest";
import { projectedPayload } from "./payload-projection.ts";

const tensors: Tensor[] = [
  {
    name: "f",
    datatype: "FP32",
    shape: [1, 5],
    data: bytesOf(Float32Array.of(1.5, Number.NaN, Infinity, -Infinity, -0)),
  },
  { name: "h", datatype: "FP16", shape: [1, 1], data: bytesOf(Uint16Array.of(0x3e00)) },
  { name: "d", datatype: "FP64", shape: [1], data: bytesOf(Float64Array.of(0.1)) },
  { name: "b", datatype: "BOOL", shape: [2], data: Uint8Array.of(0, 1) },
  { name: "i", datatype: "INT64", shape: [1], data: bytesOf(BigInt64Array.of(-(2n ** 53n) - 1n)) },
  { name: "u", datatype: "UINT8", shape: [1], data: Uint8Array.of(255) },
  { name: 's "quoted"', datatype: "BYTES", shape: [2, 1], data: encodeStrings(["ä", '"']) },
];

test("tensors become the protocol's JSON, which any reader of JSON takes", () => {
  const text = Buffer.from(projectedPayload("inputs", { model: "m", version: "1", id: "7" }, tensors)).toString();
  expect(JSON.parse(text)).toEqual({
    id: "7",
    inputs: [
      { name: "f", shape: [1, 5], datatype: "FP32", data: [1.5, null, Infinity, -Infinity, -0] },
      { name: "h", shape: [1, 1], datatype: "FP16", data: [1.5] },
      { name: "d", shape: [1], datatype: "FP64", data: [0.1] },
      { name: "b", shape: [2], datatype: "BOOL", data: [false, true] },
      { name: "i", shape: [1], datatype: "INT64", data: [-(2 ** 53)] },
      { name: "u", shape: [1], datatype: "UINT8", data: [255] },
      { name: 's "quoted"', shape: [2, 1], datatype: "BYTES", data: ["ä", '"'] },
    ],
  });
  expect(text).toContain("-9007199254740993");
});

test("a response says which model and version answered, and has no id where the request had none", () => {
  const bytes = projectedPayload("outputs", { model: "m", version: "1", id: "" }, tensors.slice(2, 3));
  expect(JSON.parse(Buffer.from(bytes).toString())).toEqual({
    model_name: "m",
    model_version: "1",
    outputs: [{ name: "d", shape: [1], datatype: "FP64", data: [0.1] }],
  });
});
