import { bytesOf, decodeStrings, elementCount, TensorInvalidError } from "@millrace/tensor";
import { describe, expect, test } from "vitest";
import { topClasses } from "./top-classes.ts";

const floats = (values: readonly number[], shape: readonly number[]) => ({
  name: "y",
  datatype: "FP32" as const,
  shape,
  data: bytesOf(Float32Array.from(values)),
});
const texts = ({ name, shape, data }: ReturnType<typeof topClasses>) => decodeStrings(name, data, elementCount(shape));

describe("the highest classes of an output", () => {
  test("are named by value, index and label, the highest first, and each row for itself", () => {
    const named = topClasses(floats([0.25, 0.5, -1, 3, 1, 2], [2, 3]), 2, ["ant", "bee"], true);
    expect(named).toMatchObject({ name: "y", datatype: "BYTES", shape: [2, 2] });
    expect(texts(named)).toEqual(["0.500000:1:bee", "0.250000:0:ant", "3.000000:0:ant", "2.000000:2"]);
  });

  test("are of the whole tensor where the model has no batch", () => {
    const named = topClasses(floats([1, 4, 3, 2], [2, 2]), 3, [], false);
    expect(named.shape).toEqual([3]);
    expect(texts(named)).toEqual(["4.000000:1", "3.000000:2", "2.000000:3"]);
  });

  test("are no more than there are, keep the order of equal values, and have NaN last", () => {
    const named = topClasses(floats([Number.NaN, 1, -Infinity, 1, Infinity], [1, 5]), 9, [], true);
    expect(texts(named)).toEqual(["inf:4", "1.000000:1", "1.000000:3", "-inf:2", "nan:0"]);
  });

  test("of whole numbers are exact", () => {
    const data = bytesOf(BigInt64Array.of(2n ** 63n - 1n, -5n, 2n ** 63n - 2n));
    expect(texts(topClasses({ name: "y", datatype: "INT64", shape: [1, 3], data }, 2, [], true))).toEqual([
      "9223372036854775807:0",
      "9223372036854775806:2",
    ]);
  });

  test("never have an exponent", () => {
    const data = bytesOf(Float64Array.of(1e22, 1e-9));
    const named = topClasses({ name: "y", datatype: "FP64", shape: [2], data }, 2, [], false);
    expect(texts(named)).toEqual(["10000000000000000000000.000000:0", "0.000000:1"]);
  });

  test("of no rows are none", () => {
    expect(topClasses(floats([], [0, 3]), 2, [], true)).toMatchObject({ shape: [0, 2], data: new Uint8Array() });
  });

  test.each(["BYTES", "BOOL", "FP16"] as const)("of %s are refused", (datatype) => {
    const output = { name: "y", datatype, shape: [0], data: new Uint8Array() };
    expect(() => topClasses(output, 1, [], false)).toThrow(TensorInvalidError);
  });
});
