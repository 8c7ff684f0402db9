import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import type { TfjsTrainer } from "@millrace/contracts/millrace/training/v1/training_spec";
import { exportNetwork, type NetworkInput } from "@millrace/onnx";
import type { LayersModel } from "@tensorflow/tfjs";
import type { SplitDataset } from "../dataset/split-dataset.ts";
import type { TrainingTable } from "../dataset/training-table.ts";
import { buildNetwork } from "../network/build-network.ts";
import { type LabelledRows, predictRows, trainNetwork } from "../network/train-network.ts";
import { prepareRows } from "../preparation/prepare-rows.ts";
import type { RunReport } from "./run-report.ts";

export interface TrainingOrder {
  readonly table: TrainingTable;
  readonly split: SplitDataset;
  readonly inputs: readonly NetworkInput[];
  readonly trainer: TfjsTrainer;
  readonly seed: bigint;
  readonly checkpointFile: string;
  readonly checkpointKey: string;
  readonly signal: AbortSignal;
  report(message: RunReport): void;
}

export interface TrainedNetwork {
  readonly model: LayersModel;
  /** Of the training labels; a regression's network answers in their units. 0 and 1 for a binary label. */
  readonly labelMean: number;
  readonly labelDeviation: number;
  /** The network's answers for rows of the table: probabilities, or estimates in the label's unit. */
  predict(rows: Uint32Array): Float64Array;
}

/** Builds the network, makes sure that it can be exported, and trains it on the dataset's training split. */
export const trainOnDataset = async (order: TrainingOrder): Promise<TrainedNetwork> => {
  const { table, split, inputs, trainer, seed, report, signal } = order;
  const network = buildNetwork(trainer, inputs, seed);
  // What cannot be exported is refused before it is trained.
  exportNetwork({ name: "check", inputs, network: network.model, output: { name: "output", transform: "sigmoid" } });
  const { mean, deviation } =
    split.task === Task.BINARY ? { mean: 0, deviation: 1 } : momentsOf(table.labels, split.training);
  const labelled = (rows: Uint32Array): LabelledRows => ({
    prepared: prepareRows(inputs, table.features, rows),
    labels: Float32Array.from(rows, (row) => ((table.labels[row] as number) - mean) / deviation),
    weights: table.weights && Float32Array.from(rows, (row) => table.weights?.[row] ?? 1),
  });
  await trainNetwork({
    network,
    trainer,
    task: split.task,
    seed,
    training: labelled(split.training),
    validation: labelled(split.validation),
    checkpointFile: order.checkpointFile,
    checkpointKey: order.checkpointKey,
    signal,
    onProgress: (progress) => report({ kind: "training", ...progress }),
    onResumed: (epochs) => report({ kind: "epochs", epochs }),
    onEpoch: (epoch) => report({ kind: "epoch", epoch }),
  });
  return {
    model: network.model,
    labelMean: mean,
    labelDeviation: deviation,
    predict: (rows) => {
      const outputs = predictRows(network.model, prepareRows(inputs, table.features, rows));
      return Float64Array.from(outputs, (output) =>
        split.task === Task.BINARY ? 1 / (1 + Math.exp(-output)) : output * deviation + mean,
      );
    },
  };
};

const momentsOf = (labels: Float64Array, rows: Uint32Array): { mean: number; deviation: number } => {
  let mean = 0;
  let squares = 0;
  rows.forEach((row, place) => {
    const label = labels[row] as number;
    const distance = label - mean;
    mean += distance / (place + 1);
    squares += distance * (label - mean);
  });
  return { mean, deviation: Math.sqrt(squares / rows.length) };
};
