import type { TfjsTrainer } from "@millrace/contracts/millrace/training/v1/training_spec";
import { type NetworkInput, preparedColumns } from "@millrace/onnx";
import * as tf from "@tensorflow/tfjs";
import { deriveSeed } from "../derive-seed.ts";
import { SeededDropout, type TrainingPlace } from "./seeded-dropout.ts";

const defaultEmbeddingDimensions = 8;

/** A network that is ready to train. */
export interface Network {
  readonly model: tf.LayersModel;
  /** Dropout reads it: the trainer moves it on. */
  readonly place: TrainingPlace;
}

/**
 * Builds the spec's network with its first weights, which depend on the seed alone. Inputs: the matrix of prepared
 * columns, then one index an embedding. Output: one unit, a logit or a standardised number.
 */
export const buildNetwork = (trainer: TfjsTrainer, inputs: readonly NetworkInput[], seed: bigint): Network => {
  const place: TrainingPlace = { epoch: 0, step: 0 };
  let ordinal = 0;
  const initializer = () => tf.initializers.glorotUniform({ seed: deriveSeed(seed, 0, ordinal++) });
  const columns = inputs.reduce((sum, { preparation }) => sum + preparedColumns(preparation), 0);
  const symbols: tf.SymbolicTensor[] = [];
  const parts: tf.SymbolicTensor[] = [];
  if (columns > 0) {
    const matrix = tf.input({ shape: [columns] });
    symbols.push(matrix);
    parts.push(matrix);
  }
  for (const { name, preparation } of inputs) {
    if (preparation.kind !== "embedding") {
      continue;
    }
    const index = tf.input({ shape: [1], dtype: "int32" });
    const asked = trainer.preparation.find(({ feature }) => feature === name)?.preparation;
    const outputDim = (asked?.case === "embedding" ? asked.value.dimensions : 0) || defaultEmbeddingDimensions;
    const table = tf.layers.embedding({
      inputDim: preparation.categories.length + 1,
      outputDim,
      embeddingsInitializer: initializer(),
    });
    symbols.push(index);
    parts.push(symbol(tf.layers.flatten().apply(table.apply(index))));
  }
  let last = parts.length === 1 ? (parts[0] as tf.SymbolicTensor) : symbol(tf.layers.concatenate().apply(parts));
  trainer.layers.forEach(({ layer }, number) => {
    switch (layer.case) {
      case "dense":
        last = symbol(dense(layer.value, "relu", initializer()).apply(last));
        break;
      case "denseWith":
        last = symbol(dense(layer.value.units, layer.value.activation, initializer()).apply(last));
        break;
      case "dropout":
        last = symbol(
          new SeededDropout({ name: `dropout_${number}`, rate: layer.value, seed, ordinal: number, place }).apply(last),
        );
        break;
      case "batchNormalization":
        last = symbol(tf.layers.batchNormalization().apply(last));
        break;
      case "layerNormalization":
        last = symbol(tf.layers.layerNormalization().apply(last));
        break;
    }
  });
  const output = symbol(dense(1, "linear", initializer()).apply(last));
  return { model: tf.model({ inputs: symbols, outputs: output }), place };
};

const symbol = (value: unknown): tf.SymbolicTensor => value as tf.SymbolicTensor;

const dense = (
  units: number,
  activation: string,
  kernelInitializer: ReturnType<typeof tf.initializers.glorotUniform>,
) => tf.layers.dense({ units, activation: (activation || "relu") as "relu", kernelInitializer });
