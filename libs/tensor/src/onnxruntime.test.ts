import { existsSync } from "node:fs";
import { TensorProto_DataType as Onnx } from "@millrace/contracts/onnx/onnx";
import { describe, expect, test } from "vitest";
import { identityModel, onnxTypes } from "../test/identity-model.ts";
import { optionalModel, sequenceModel } from "../test/not-a-tensor-models.ts";
import { encodeBytes, encodeStrings } from "./bytes-elements.ts";
import { type Datatype, elementBytes } from "./datatype.ts";
import { ModelInvalidError, OnnxSession } from "./onnxruntime.ts";
import { TensorInvalidError } from "./tensor-invalid-error.ts";

const fixedSize = (Object.keys(elementBytes) as Datatype[]).filter((datatype) => datatype !== "BYTES");
/** Six elements whose bytes are 0 or 1 by turns, which is a value of every datatype, BOOL too. */
const someBytes = (datatype: Datatype) => Uint8Array.from({ length: 6 * elementBytes[datatype] }, (_, at) => at % 2);

describe("tuning", () => {
  test("changes how the runtime goes about it, and not the answer", async () => {
    const data = someBytes("FP32");
    for (const graphOptimization of ["disabled", "basic", "extended", "all"] as const) {
      const tuning = { graphOptimization, parallel: true, interOpThreads: 2, memoryArena: false, memoryPattern: false };
      const session = await OnnxSession.create(identityModel(onnxTypes.FP32), { tuning });
      const [y] = await session.run([{ name: "x", datatype: "FP32", shape: [3, 2], data }]);
      expect(y?.data).toEqual(data);
      await session.close();
    }
  });

  test("reaches the runtime", async () => {
    const tuning = { graphOptimization: "some" as "all" };
    const load = OnnxSession.create(identityModel(onnxTypes.FP32), { tuning });
    await expect(load).rejects.toMatchObject({ message: expect.stringMatching(/graphOptimizationLevel.*some/i) });
  });
});

describe("a session", () => {
  describe.each(fixedSize)("of %s", (datatype) => {
    test("gives back what it was given, at any alignment", async () => {
      const session = await OnnxSession.create(identityModel(onnxTypes[datatype]));
      const bytes = someBytes(datatype);
      for (const offset of [0, 5]) {
        const data = new Uint8Array(offset + bytes.length).subarray(offset);
        data.set(bytes);
        const [y] = await session.run([{ name: "x", datatype, shape: [3, 2], data }]);
        expect(y).toMatchObject({ name: "y", datatype, shape: [3, 2] });
        expect(y?.data).toEqual(bytes);
      }
      await session.close();
    });

    // onnxruntime-node does not document either: this is the contract that the slab relies on.
    test("reads from shared memory, and fills shared memory in place", async () => {
      const session = await OnnxSession.create(identityModel(onnxTypes[datatype]));
      const shared = new SharedArrayBuffer(256);
      const bytes = someBytes(datatype);
      const input = new Uint8Array(shared, 0, bytes.length);
      const place = { name: "y", datatype, shape: [3, 2], data: new Uint8Array(shared, 128, bytes.length) };
      input.set(bytes);
      const [y] = await session.run([{ name: "x", datatype, shape: [3, 2], data: input }], [place]);
      expect(y?.data).toBe(place.data);
      expect(new Uint8Array(place.data)).toEqual(bytes);
      await session.close();
    });
  });

  test("gives an output memory of its own where the place that was offered has another shape", async () => {
    const session = await OnnxSession.create(identityModel(Onnx.FLOAT));
    const data = new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer);
    const place = { name: "y", datatype: "FP32" as const, shape: [1, 2], data: new Uint8Array(8) };
    const [y] = await session.run([{ name: "x", datatype: "FP32", shape: [2, 2], data }], [place]);
    expect(y?.shape).toEqual([2, 2]);
    expect(y?.data).toEqual(data);
    await session.close();
  });

  test("carries strings, the empty one and those beyond ASCII too, and from shared memory", async () => {
    const session = await OnnxSession.create(identityModel(Onnx.STRING));
    const data = encodeStrings(["a", "", "é\u{1f600}", "\ufeffb"]);
    const shared = new Uint8Array(new SharedArrayBuffer(data.length));
    shared.set(data);
    const [y] = await session.run([{ name: "x", datatype: "BYTES", shape: [2, 2], data: shared }]);
    expect(y?.data).toEqual(data);
    await session.close();
  });

  test("carries a tensor of no rows", async () => {
    const session = await OnnxSession.create(identityModel(Onnx.FLOAT));
    const [y] = await session.run([{ name: "x", datatype: "FP32", shape: [0, 2], data: new Uint8Array() }]);
    expect(y).toMatchObject({ shape: [0, 2], data: new Uint8Array() });
    await session.close();
  });

  test("names the open dimensions of its inputs and outputs", async () => {
    const session = await OnnxSession.create(identityModel(Onnx.FLOAT));
    expect(session.inputs).toEqual([{ name: "x", datatype: "FP32", shape: [-1, 2], dimensionNames: ["rows", ""] }]);
    await session.close();
  });
});

describe("a string that the runtime would change is refused", () => {
  test.each([
    [
      "with a NUL inside",
      encodeBytes([Uint8Array.of(97, 0, 98), new Uint8Array()]),
      /x\[0\]: expected text without NUL/,
    ],
    ["that is not UTF-8", encodeBytes([new Uint8Array(), Uint8Array.of(0xff, 97)]), /x\[1\]: expected text in UTF-8/],
  ])("%s", async (_, data, message) => {
    const session = await OnnxSession.create(identityModel(Onnx.STRING));
    await expect(session.run([{ name: "x", datatype: "BYTES", shape: [1, 2], data }])).rejects.toThrow(message);
    await session.close();
  });
});

describe("what cannot be carried is refused by name", () => {
  test("bytes that are no model", async () => {
    await expect(OnnxSession.create(Uint8Array.of(1, 2, 3))).rejects.toThrow(ModelInvalidError);
  });

  test("a model of BF16", async () => {
    const load = OnnxSession.create(identityModel(Onnx.BFLOAT16));
    await expect(load).rejects.toThrow(ModelInvalidError);
    await expect(load).rejects.toThrow("The input x has ONNX's datatype 16 (BF16), which cannot be carried.");
  });

  test.each([
    ["a sequence", sequenceModel(), "The output s is not a tensor"],
    ["an optional", optionalModel(), "The output o is not a tensor"],
  ])("%s", async (_, model, message) => {
    const load = OnnxSession.create(model);
    await expect(load).rejects.toThrow(ModelInvalidError);
    await expect(load).rejects.toThrow(message);
  });

  test.each([
    ["a missing input", [], /x: expected an input of FP32, got none/],
    [
      "an unknown input",
      ["x", "z"].map((name) => ({ name, datatype: "FP32" as const, shape: [1, 2], data: new Uint8Array(8) })),
      /z: expected each of x once/,
    ],
    [
      "another datatype",
      [{ name: "x", datatype: "INT32" as const, shape: [1, 2], data: new Uint8Array(8) }],
      /x.datatype: expected FP32, got INT32/,
    ],
    [
      "another shape",
      [{ name: "x", datatype: "FP32" as const, shape: [1, 3], data: new Uint8Array(12) }],
      /x.shape: expected \[-1, 2\], got \[1, 3\]/,
    ],
    [
      "too few bytes",
      [{ name: "x", datatype: "FP32" as const, shape: [2, 2], data: new Uint8Array(12) }],
      /x: expected 16 bytes \(FP32 \[2, 2\]\), got 12 bytes/,
    ],
  ])("%s", async (_, inputs, message) => {
    const session = await OnnxSession.create(identityModel(Onnx.FLOAT));
    const run = session.run(inputs);
    await expect(run).rejects.toThrow(TensorInvalidError);
    await expect(run).rejects.toThrow(message);
    await session.close();
  });
});

describe("execution providers", () => {
  const model = identityModel(Onnx.FLOAT);

  test("are the CPU where none is asked for", async () => {
    const session = await OnnxSession.create(model);
    expect(session.executionProvider).toEqual({ name: "cpu", reason: "it was asked for" });
    await session.close();
  });

  // Where this machine has one of them the first is taken, and the rest of the test tells nothing.
  test("are tried in order, and what was passed over is told with its reason", async () => {
    const session = await OnnxSession.create(model, { executionProviders: ["dml", "coreml", "cpu"] });
    expect(session.executionProvider.name).toBe("cpu");
    expect(session.executionProvider.reason).toMatch(
      /^dml was asked for first and is not available: .*; coreml was asked for next and is not available: /,
    );
    await session.close();
  });

  test.skipIf(existsSync("/dev/nvidia0"))("fail the load where none of them is there", async () => {
    const session = await OnnxSession.create(model, { executionProviders: ["cuda", "cpu"] });
    expect(session.executionProvider.reason).toMatch(/^cuda was asked for first and is not available: /);
    await session.close();
    const load = OnnxSession.create(model, { executionProviders: ["cuda"] });
    await expect(load).rejects.toThrow(ModelInvalidError);
    await expect(load).rejects.toThrow(/The model cannot be loaded: cuda is not available \(/);
  });

  test.each([[["gpu", "cpu"], /got gpu/] as const, [[], /got none/] as const])(
    "%j is refused by name",
    async (executionProviders, message) => {
      await expect(OnnxSession.create(model, { executionProviders })).rejects.toThrow(message);
    },
  );
});
