import { seededRandom } from "@millrace/stats";
import * as tf from "@tensorflow/tfjs";
import { deriveSeed } from "../derive-seed.ts";

/** Where training is: all dropout layers of a network read it. */
export interface TrainingPlace {
  epoch: number;
  step: number;
}

export interface SeededDropoutOptions {
  readonly name: string;
  /** Share of units that are dropped, 0 up to below 1. */
  readonly rate: number;
  readonly seed: bigint;
  /** Which of the network's dropout layers this is. */
  readonly ordinal: number;
  readonly place: TrainingPlace;
}

/**
 * Dropout whose mask depends on seed, layer, epoch and step alone. (The seed of tfjs's own dropout layer gives the same
 * mask in every step.) Kept units are scaled by 1 / (1 - rate), so that it is nothing when the network answers.
 */
export class SeededDropout extends tf.layers.Layer {
  static readonly className = "SeededDropout";
  readonly #options: SeededDropoutOptions;

  constructor(options: SeededDropoutOptions) {
    super({ name: options.name });
    this.#options = options;
  }

  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape | tf.Shape[] {
    return inputShape;
  }

  override call(inputs: tf.Tensor | tf.Tensor[], options: { readonly training?: boolean }): tf.Tensor {
    const input = (Array.isArray(inputs) ? inputs[0] : inputs) as tf.Tensor;
    const { rate, seed, ordinal, place } = this.#options;
    if (options.training !== true || rate === 0) {
      return input;
    }
    const random = seededRandom(deriveSeed(seed, 1, ordinal, place.epoch, place.step));
    const mask = new Float32Array(input.size);
    const kept = 1 / (1 - rate);
    for (let unit = 0; unit < mask.length; unit++) {
      mask[unit] = random() < rate ? 0 : kept;
    }
    return tf.tidy(() => tf.mul(input, tf.tensor(mask, input.shape)));
  }
}
