import { performance } from "node:perf_hooks";
import { setImmediate as turn } from "node:timers/promises";
import type { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import type { TfjsTrainer } from "@millrace/contracts/millrace/training/v1/training_spec";
import * as tf from "@tensorflow/tfjs";
import type { PreparedRows } from "../preparation/prepare-rows.ts";
import { Adam } from "./adam.ts";
import { BatchTensors } from "./batch-tensors.ts";
import type { Network } from "./build-network.ts";
import { type Checkpoint, type FinishedEpoch, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { KeyedPermutation } from "./keyed-permutation.ts";
import { lossOf } from "./loss.ts";
import { readWeights, writeWeights } from "./network-weights.ts";
import { TrainingDivergedError } from "./training-diverged-error.ts";

/** Prepared rows with their labels. */
export interface LabelledRows {
  readonly prepared: PreparedRows;
  /** 0 or 1, or the standardised number. */
  readonly labels: Float32Array;
  readonly weights: Float32Array | undefined;
}

export interface TrainingProgress {
  readonly epoch: number;
  readonly totalEpochs: number;
  /** Rows seen in this epoch, of so many. */
  readonly rows: number;
  readonly totalRows: number;
  readonly loss: number;
  readonly secondsLeft: number;
}

export interface TrainingPlan {
  readonly network: Network;
  readonly trainer: TfjsTrainer;
  readonly task: Task;
  readonly seed: bigint;
  readonly training: LabelledRows;
  readonly validation: LabelledRows;
  readonly checkpointFile: string;
  /** What the checkpoint must belong to: backend, network, dataset. */
  readonly checkpointKey: string;
  readonly signal: AbortSignal;
  onProgress(progress: TrainingProgress): void;
  onEpoch(epoch: FinishedEpoch): void;
  /** Those of before a restart, once, for whoever has not heard of them. */
  onResumed(epochs: readonly FinishedEpoch[]): void;
}

const progressEveryMs = 250;
const predictionBatch = 16_384;

/**
 * Trains the network in place, from the checkpoint where there is one, to the last epoch or until early stopping; with
 * early stopping the best epoch's weights are put back. A checkpoint is written after each epoch. Between two steps the
 * event loop gets its turn.
 *
 * @returns all finished epochs, those of before a restart included.
 * @throws TrainingDivergedError for a loss that is not finite; the signal's reason where it is aborted.
 */
export const trainNetwork = async (plan: TrainingPlan): Promise<readonly FinishedEpoch[]> => {
  const { network, trainer, checkpointFile, checkpointKey } = plan;
  const { model } = network;
  const patience = trainer.earlyStopping?.patience ?? 0;
  let state = await readCheckpoint(checkpointFile, checkpointKey);
  if (state !== undefined) {
    writeWeights(model, state.weights);
    plan.onResumed(state.epochs);
  }
  const variables = model.trainableWeights.map((weight) => ({
    variable: weight.read() as tf.Variable,
    decay: weight.originalName.includes("kernel") ? trainer.l2 : 0,
  }));
  const sizes = variables.map(({ variable }) => variable.size);
  const adam = new Adam(trainer.learningRate, sizes, state?.adam);
  const batches = new BatchTensors(plan.training.prepared);
  while (state === undefined || !isOver(state, trainer.epochs, patience)) {
    const epoch = (state?.epochs.length ?? 0) + 1;
    const started = performance.now();
    const trainingLoss = await trainEpoch(plan, epoch, variables, adam, batches, state);
    const validationLoss = meanLoss(plan, plan.validation);
    if (!Number.isFinite(validationLoss)) {
      throw new TrainingDivergedError(epoch, 0, validationLoss, epoch - 1);
    }
    const weights = readWeights(model);
    const seconds = (performance.now() - started) / 1000;
    const finished: FinishedEpoch = { epoch, trainingLoss, validationLoss, seconds };
    const best =
      state !== undefined && state.best.loss <= validationLoss ? state.best : { epoch, loss: validationLoss, weights };
    const epochs: readonly FinishedEpoch[] = [...(state?.epochs ?? []), finished];
    state = { key: checkpointKey, weights, adam: adam.state, epochs, best };
    await writeCheckpoint(checkpointFile, state);
    plan.onEpoch(finished);
  }
  if (patience > 0) {
    writeWeights(model, state.best.weights);
  }
  return state.epochs;
};

const isOver = (state: Checkpoint, epochs: number, patience: number): boolean =>
  state.epochs.length >= epochs || (patience > 0 && state.epochs.length - state.best.epoch >= patience);

const trainEpoch = async (
  plan: TrainingPlan,
  epoch: number,
  variables: readonly { readonly variable: tf.Variable; readonly decay: number }[],
  adam: Adam,
  batches: BatchTensors,
  before: Checkpoint | undefined,
): Promise<number> => {
  const { network, trainer, training, seed, signal } = plan;
  const { rows } = training.prepared;
  const permutation = new KeyedPermutation(rows, seed, 2, epoch);
  const order = Uint32Array.from({ length: rows }, (_, place) => permutation.at(place));
  const batchSize = Math.min(trainer.batchSize, rows);
  const started = performance.now();
  let reported = started;
  let lossSum = 0;
  let weightSum = 0;
  network.place.epoch = epoch;
  for (let from = 0, step = 1; from < rows; from += batchSize, step++) {
    signal.throwIfAborted();
    network.place.step = step;
    const count = Math.min(batchSize, rows - from);
    const { sum, weight } = trainStep(plan, variables, adam, batches, order.subarray(from, from + count));
    if (!Number.isFinite(sum)) {
      throw new TrainingDivergedError(epoch, step, sum, epoch - 1);
    }
    lossSum += sum;
    weightSum += weight;
    const now = performance.now();
    if (now - reported >= progressEveryMs) {
      reported = now;
      const share = (from + count) / rows;
      const secondsAnEpoch = (now - started) / 1000 / share;
      plan.onProgress({
        epoch,
        totalEpochs: trainer.epochs,
        rows: from + count,
        totalRows: rows,
        loss: lossSum / weightSum,
        secondsLeft: secondsAnEpoch * (trainer.epochs - (before?.epochs.length ?? 0) - share),
      });
    }
    await turn();
  }
  return lossSum / weightSum;
};

/** One batch: forward, loss and slope outside of the backend, backward, and one step of the optimizer. */
const trainStep = (
  { network: { model }, task, training }: TrainingPlan,
  variables: readonly { readonly variable: tf.Variable; readonly decay: number }[],
  adam: Adam,
  batches: BatchTensors,
  order: Uint32Array,
): { readonly sum: number; readonly weight: number } => {
  const labels = Float32Array.from(order, (row) => training.labels[row] as number);
  const rowWeights = training.weights;
  const weights = rowWeights && Float32Array.from(order, (row) => rowWeights[row] as number);
  let loss = { sum: 0, weight: 0 };
  const lossLayer = tf.customGrad((output) => {
    const outputs = (output as tf.Tensor).dataSync() as Float32Array;
    const slopes = new Float32Array(outputs.length);
    loss = lossOf(task, outputs, labels, weights, slopes);
    const shape = (output as tf.Tensor).shape.slice();
    return { value: tf.scalar(loss.sum / (loss.weight || 1)), gradFunc: () => tf.tensor(slopes, shape) };
  });
  const gradients = tf.tidy(() => {
    const inputs = batches.take(order.length, (place) => order[place] as number);
    const { grads } = tf.variableGrads(
      () => lossLayer(model.apply(inputs, { training: true }) as tf.Tensor) as tf.Scalar,
      variables.map(({ variable }) => variable),
    );
    return variables.map(({ variable }) => grads[variable.name]?.dataSync() as Float32Array);
  });
  if (!Number.isFinite(loss.sum)) {
    return loss;
  }
  adam.begin();
  variables.forEach(({ variable, decay }, place) => {
    const weight = Float32Array.from(variable.dataSync());
    adam.update(place, weight, gradients[place] as Float32Array, decay);
    const next = tf.tensor(weight, variable.shape);
    variable.assign(next);
    next.dispose();
  });
  return loss;
};

/** The network's outputs for all rows, as it answers when it is not training. */
export const predictRows = (model: tf.LayersModel, prepared: PreparedRows): Float32Array => {
  const outputs = new Float32Array(prepared.rows);
  const batches = new BatchTensors(prepared);
  for (let from = 0; from < prepared.rows; from += predictionBatch) {
    const count = Math.min(predictionBatch, prepared.rows - from);
    const answer = tf.tidy(() => (model.apply(batches.take(count, (place) => from + place)) as tf.Tensor).dataSync());
    outputs.set(answer as Float32Array, from);
  }
  return outputs;
};

const meanLoss = ({ network, task }: TrainingPlan, { prepared, labels, weights }: LabelledRows): number => {
  const { sum, weight } = lossOf(task, predictRows(network.model, prepared), labels, weights);
  return sum / weight;
};
