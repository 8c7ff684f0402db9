import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { TfjsTrainerSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import type { NetworkInput } from "@millrace/onnx";
import { seededRandom } from "@millrace/stats";
import { openTensorflow } from "@millrace/tensor/tensorflow";
import { afterAll, describe, expect, test } from "vitest";
import { freshFolder } from "../../test/examples.fixture.ts";
import { Adam } from "./adam.ts";
import { buildNetwork } from "./build-network.ts";
import { readCheckpoint } from "./checkpoint.ts";
import { lossOf } from "./loss.ts";
import { type LabelledRows, predictRows, trainNetwork } from "./train-network.ts";
import { TrainingDivergedError } from "./training-diverged-error.ts";

const { tf } = await openTensorflow("wasm");
const fresh = await freshFolder();
afterAll(() => fresh.remove());

const inputs: NetworkInput[] = [
  { name: "x", datatype: "FP32", preparation: { kind: "standardize", log1p: false, mean: 0, deviation: 1 } },
];
const trainer = (changes: object) =>
  create(TfjsTrainerSchema, {
    layers: [{ layer: { case: "dense", value: 8 } }],
    epochs: 3,
    batchSize: 32,
    learningRate: 0.05,
    ...changes,
  });

const rowsOf = (count: number, labelOf: (x: number) => number): LabelledRows => {
  const random = seededRandom(3);
  const matrix = Float32Array.from({ length: count }, () => random() * 2 - 1);
  const labels = Float32Array.from(matrix, labelOf);
  return { prepared: { rows: count, columns: 1, matrix, indices: [] }, labels, weights: undefined };
};

const plan = (name: string, rows: LabelledRows, changes: object = {}, task: Task = Task.BINARY) => ({
  network: buildNetwork(trainer(changes), inputs, 7n),
  trainer: trainer(changes),
  task,
  seed: 7n,
  training: rows,
  validation: rows,
  checkpointFile: join(fresh.folder, name),
  checkpointKey: name,
  signal: new AbortController().signal,
  onProgress: () => {},
  onEpoch: () => {},
  onResumed: () => {},
});

describe("training", () => {
  test("learns what can be learned, and leaks no tensor", async () => {
    const rows = rowsOf(500, (x) => (x > 0.2 ? 1 : 0));
    const learning = plan("learns", rows, { epochs: 20 });
    const before = tf.memory().numTensors;
    const epochs = await trainNetwork(learning);
    expect(epochs.at(-1)?.validationLoss).toBeLessThan(0.2);
    expect(tf.memory().numTensors).toBe(before);
    const wrong = predictRows(learning.network.model, rows.prepared).filter(
      (logit, row) => logit > 0 !== (rows.labels[row] === 1),
    );
    expect(wrong.length).toBeLessThan(15);
  });

  test("stops early once no epoch gets better, and puts the best epoch's weights back", async () => {
    const random = seededRandom(5);
    const learning = plan(
      "stops",
      rowsOf(200, () => (random() > 0.5 ? 1 : 0)),
      {
        epochs: 200,
        learningRate: 0.3,
        earlyStopping: { patience: 2 },
      },
    );
    const epochs = await trainNetwork(learning);
    expect(epochs.length).toBeLessThan(200);
    const best = Math.min(...epochs.map(({ validationLoss }) => validationLoss));
    const { validation } = learning;
    const answers = predictRows(learning.network.model, validation.prepared);
    const { sum, weight } = lossOf(Task.BINARY, answers, validation.labels, undefined);
    expect(sum / weight).toBe(best);
  });

  test("whose loss is no number any more says in which epoch, and keeps the checkpoint of the one before", async () => {
    const rows = rowsOf(64, (x) => x);
    const learning = plan("diverges", rows, { epochs: 50, batchSize: 64 }, Task.REGRESSION);
    let finished = 0;
    const failing = trainNetwork({
      ...learning,
      onEpoch: ({ epoch }) => {
        finished = epoch;
        if (epoch === 2) rows.labels[0] = Number.NaN;
      },
    });
    await expect(failing).rejects.toThrow(TrainingDivergedError);
    await expect(failing).rejects.toThrow("in step 1 of epoch 3. The checkpoint after epoch 2 is kept");
    expect(finished).toBe(2);
    expect((await readCheckpoint(learning.checkpointFile, "diverges"))?.epochs.length).toBe(2);
    expect(await readCheckpoint(learning.checkpointFile, "another spec")).toBeUndefined();
  });
});

describe("the loss outside of the backend", () => {
  test.each([Task.BINARY, Task.REGRESSION])("has the slope that finite differences give (task %i)", (task) => {
    const outputs = Float32Array.of(0.3, -2, 5, 40);
    const labels = Float32Array.of(1, 1, 0, 1);
    const weights = Float32Array.of(1, 2, 0.5, 3);
    const slopes = new Float32Array(4);
    const { weight } = lossOf(task, outputs, labels, weights, slopes);
    outputs.forEach((output, row) => {
      const at = (moved: number): number => {
        const copy = outputs.slice();
        copy[row] = moved;
        return lossOf(task, copy, labels, weights).sum / weight;
      };
      const step = 2 ** -6;
      expect(slopes[row]).toBeCloseTo((at(output + step) - at(output - step)) / (2 * step), 3);
    });
  });
});

describe("Adam outside of the backend", () => {
  test("takes the steps that tfjs's takes", () => {
    const start = Float32Array.of(1, -2, 3);
    const variable = tf.variable(tf.tensor1d(start));
    const theirs = tf.train.adam(0.1);
    const ours = new Adam(0.1, [3]);
    const weight = start.slice();
    for (let step = 0; step < 20; step++) {
      theirs.minimize(() =>
        variable
          .square()
          .mul(tf.tensor1d([1, 0.5, 2]))
          .sum(),
      );
      ours.begin();
      ours.update(
        0,
        weight,
        Float32Array.from(weight, (value, place) => 2 * value * ([1, 0.5, 2][place] ?? 0)),
        0,
      );
    }
    variable.dataSync().forEach((value, place) => {
      expect(weight[place]).toBeCloseTo(value, 3);
    });
    theirs.dispose();
    variable.dispose();
  });
});
