import type * as tf from "@tensorflow/tfjs";
import { tensor } from "@tensorflow/tfjs";

/** All weights of a network, moving averages included, in its own order. */
export const readWeights = (model: tf.LayersModel): Float32Array[] =>
  model.getWeights().map((weight) => Float32Array.from(weight.dataSync()));

/** Puts weights back that `readWeights` gave. */
export const writeWeights = (model: tf.LayersModel, weights: readonly Float32Array[]): void => {
  const shapes = model.getWeights().map(({ shape }) => shape);
  const tensors = weights.map((weight, place) => tensor(weight, shapes[place]));
  model.setWeights(tensors);
  for (const each of tensors) {
    each.dispose();
  }
};
