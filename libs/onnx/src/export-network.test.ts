import { encodeStrings, type Tensor } from "@millrace/tensor";
import { OnnxSession } from "@millrace/tensor/onnxruntime";
import { openTensorflow } from "@millrace/tensor/tensorflow";
import type { LayersModel } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { describeModel } from "./describe-model.ts";
import { exportableActivations } from "./export-activation.ts";
import { exportNetwork, type NetworkOutput } from "./export-network.ts";
import type { NetworkInput } from "./network-input.ts";
import { prepareReference } from "./prepare.reference.ts";
import { readModel } from "./read-model.ts";

const { tf } = await openTensorflow("wasm");

type Raw = readonly (number | bigint | boolean | string)[];

const tensorOf = ({ name, datatype }: NetworkInput, values: Raw): Tensor => {
  const shape = [values.length, 1];
  const view = (array: ArrayBufferView): Tensor => ({
    name,
    datatype,
    shape,
    data: new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
  });
  switch (datatype) {
    case "BYTES":
      return { name, datatype, shape, data: encodeStrings(values.map(String)) };
    case "INT64":
      return view(BigInt64Array.from(values, (value) => BigInt(value)));
    case "BOOL":
      return view(Uint8Array.from(values, Number));
    case "FP32":
      return view(Float32Array.from(values, Number));
    case "FP64":
      return view(Float64Array.from(values, Number));
  }
};

const runOnnx = async (
  inputs: readonly NetworkInput[],
  raw: readonly Raw[],
  network: LayersModel,
  output: NetworkOutput,
): Promise<Float32Array> => {
  const session = await OnnxSession.create(exportNetwork({ name: "test", inputs, network, output }));
  const [answer] = await session.run(inputs.map((input, place) => tensorOf(input, raw[place] ?? [])));
  await session.close();
  return new Float32Array(Uint8Array.from(answer?.data ?? []).buffer);
};

/** What tfjs answers for the same rows, prepared by the reference. */
const runTfjs = (inputs: readonly NetworkInput[], raw: readonly Raw[], network: LayersModel): Float32Array =>
  tf.tidy(() => {
    const rows = raw[0]?.length ?? 0;
    const matrix: number[][] = Array.from({ length: rows }, () => []);
    const indices: number[][] = [];
    inputs.forEach(({ preparation, datatype }, place) => {
      const prepared = (raw[place] ?? []).map((value) =>
        prepareReference(preparation, datatype === "FP32" ? Math.fround(Number(value)) : value),
      );
      if (preparation.kind === "embedding") {
        indices.push(prepared.flat());
      } else {
        prepared.forEach((columns, row) => {
          matrix[row]?.push(...columns);
        });
      }
    });
    const tensors = [tf.tensor2d(matrix), ...indices.map((index) => tf.tensor2d(index, [rows, 1], "int32"))];
    const answer = network.predict(tensors.length === 1 ? (tensors[0] as (typeof tensors)[0]) : tensors);
    return (Array.isArray(answer) ? answer[0] : answer)?.dataSync() as Float32Array;
  });

const expectClose = (got: Float32Array, wanted: Float32Array | number[], tolerance = 1e-5): void => {
  expect(got.length).toBe(wanted.length);
  got.forEach((value, place) => {
    expect(
      Math.abs(value - (wanted[place] ?? Number.NaN)),
      `element ${place}: ${value}, ${wanted[place]}`,
    ).toBeLessThan(tolerance);
  });
};

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const glorot = (seed: number) => tf.initializers.glorotUniform({ seed });
const plain = (name: string): NetworkInput => ({
  name,
  datatype: "FP32",
  preparation: { kind: "standardize", log1p: false, mean: 0.5, deviation: 2 },
});
const numbers = [
  [0.1, -3, 7, Number.NaN],
  [2, 0, -0.25, 1e6],
  [1, 1, 1, 1],
];

describe("an exported network", () => {
  test("prepares raw features as the reference does: nulls, infinities and unseen categories too", async () => {
    const inputs: NetworkInput[] = [
      { name: "delay", datatype: "FP64", preparation: { kind: "standardize", log1p: false, mean: 9.5, deviation: 21 } },
      {
        name: "distance",
        datatype: "FP32",
        preparation: { kind: "standardize", log1p: true, mean: 6, deviation: 0.7 },
      },
      { name: "count", datatype: "INT64", preparation: { kind: "standardize", log1p: true, mean: 4, deviation: 2 } },
      { name: "hour", datatype: "FP64", preparation: { kind: "cyclic", period: 24 } },
      { name: "airport", datatype: "BYTES", preparation: { kind: "one-hot", categories: ["ATL", "ORD", "Zürich"] } },
      { name: "weekday", datatype: "INT64", preparation: { kind: "one-hot", categories: [1n, 7n] } },
      { name: "runway", datatype: "FP64", preparation: { kind: "one-hot", categories: [2n, 3n] } },
      { name: "late", datatype: "BOOL", preparation: { kind: "one-hot", categories: [0n, 1n] } },
      { name: "carrier", datatype: "BYTES", preparation: { kind: "embedding", categories: ["AA", "DL"] } },
    ];
    const raw: Raw[] = [
      [3.25, Number.NaN, -1116, Number.POSITIVE_INFINITY, 0],
      [120, 4000, Number.NaN, 0, -7],
      [0n, 17n, 123456789n, -3n, 1n],
      [0, 6, 23.99, Number.NaN, -1],
      ["ATL", "", "Zürich", "JFK", "ORD"],
      [1n, 7n, 2n, 1n, -(2n ** 60n)],
      [2, 3, Number.NaN, 2.5, 1e300],
      [true, false, true, true, false],
      ["AA", "DL", "", "UA", "AA"],
    ];
    const matrix = tf.input({ shape: [18] });
    const carrier = tf.input({ shape: [1], dtype: "int32" });
    const vector = tf.layers
      .flatten()
      .apply(
        tf.layers.embedding({ inputDim: 3, outputDim: 2, embeddingsInitializer: glorot(1) }).apply(carrier),
      ) as typeof matrix;
    const joined = tf.layers.concatenate().apply([matrix, vector]) as typeof matrix;
    const last = tf.layers.dense({ units: 3, kernelInitializer: glorot(2) }).apply(joined) as typeof matrix;
    const network = tf.model({ inputs: [matrix, carrier], outputs: last });
    const expected = runTfjs(inputs, raw, network);
    expectClose(await runOnnx(inputs, raw, network, { name: "y", transform: "scale", scale: 1, offset: 0 }), expected);

    const bytes = exportNetwork({ name: "t", inputs, network, output: { name: "y", transform: "softmax" } });
    const signature = describeModel(readModel(bytes));
    expect(signature.inputs.map(({ name, datatype, shape }) => [name, datatype, shape])).toEqual(
      inputs.map(({ name, datatype }) => [name, datatype, [-1n, 1n]]),
    );
    expect(signature.outputs).toMatchObject([{ name: "y", datatype: "FP32", shape: [-1n, 3n], batched: true }]);
    expect(bytes).toEqual(exportNetwork({ name: "t", inputs, network, output: { name: "y", transform: "softmax" } }));
  });

  test("answers as tfjs does through normalization, dropout, merging and reshaping layers", async () => {
    const inputs = ["a", "b", "c"].map(plain);
    const x = tf.input({ shape: [3] });
    const dense = tf.layers.dense({ units: 4, activation: "tanh", kernelInitializer: glorot(3) }).apply(x);
    const batch = tf.layers.batchNormalization();
    const normal = batch.apply(tf.layers.dropout({ rate: 0.5 }).apply(dense));
    batch.setWeights(
      [
        [2, 1, 0.5, 1],
        [0, 1, 0, -1],
        [0.1, 0, 0, 0],
        [1, 4, 0.25, 1],
      ].map((row) => tf.tensor1d(row)),
    );
    const layer = tf.layers.layerNormalization({ axis: -1 }).apply(normal);
    const merged = [
      tf.layers.add(),
      tf.layers.multiply(),
      tf.layers.average(),
      tf.layers.maximum(),
      tf.layers.minimum(),
    ].map((merge) => merge.apply([dense, normal, layer] as (typeof x)[]) as typeof x);
    const wide = tf.layers.concatenate().apply(merged);
    const shaped = tf.layers.reshape({ targetShape: [5, 4] }).apply(wide);
    const deep = tf.layers.dense({ units: 2, useBias: false, kernelInitializer: glorot(4) }).apply(shaped);
    const flat = tf.layers.flatten().apply(tf.layers.leakyReLU({ alpha: 0.2 }).apply(deep));
    const last = tf.layers.dense({ units: 1, kernelInitializer: glorot(5) }).apply(flat) as typeof x;
    const network = tf.model({ inputs: x, outputs: last });
    const logits = [...runTfjs(inputs, numbers, network)];
    expectClose(
      await runOnnx(inputs, numbers, network, { name: "probability", transform: "sigmoid" }),
      logits.map(sigmoid),
    );
  });

  test.each([...exportableActivations])("answers as tfjs does through the activation %s", async (activation) => {
    const inputs = ["a", "b", "c"].map(plain);
    const network = tf.sequential({
      layers: [
        tf.layers.dense({ units: 5, inputShape: [3], kernelInitializer: glorot(6), activation: activation as "relu" }),
        tf.layers.activation({ activation: activation as "relu" }),
      ],
    });
    const output: NetworkOutput = { name: "y", transform: "scale", scale: 3, offset: -1 };
    const rows = numbers.map((values) => values.slice(0, 3));
    const expected = [...runTfjs(inputs, rows, network)].map((value) => value * 3 - 1);
    expectClose(await runOnnx(inputs, rows, network, output), expected, 2e-5);
  });

  test("is refused before it trains where a layer has no operator, naming the layer", () => {
    const network = tf.sequential({
      layers: [
        tf.layers.reshape({ targetShape: [3, 1], inputShape: [3] }),
        tf.layers.conv1d({ name: "convolution", filters: 2, kernelSize: 2 }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 1 }),
      ],
    });
    const inputs = ["a", "b", "c"].map(plain);
    expect(() => exportNetwork({ name: "t", inputs, network, output: { name: "y", transform: "sigmoid" } })).toThrow(
      "Layer convolution (Conv1D) cannot be exported",
    );
  });
});
