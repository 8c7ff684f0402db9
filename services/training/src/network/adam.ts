/** The state of the optimizer: what a checkpoint must hold beside the weights. */
export interface AdamState {
  /** Steps taken so far. */
  readonly steps: number;
  /** Running means of the gradient, and of its square, one a weight. */
  readonly means: readonly Float32Array[];
  readonly squares: readonly Float32Array[];
}

const beta1 = 0.9;
const beta2 = 0.999;
const epsilon = 1e-7;

/**
 * Adam (Kingma and Ba 2015, algorithm 1 with the reformulated step size of section 2), computed outside of the backend:
 * a step over all weights is one loop instead of a dozen dispatched operations a tensor, its state can be stored as it
 * is, and the correction of the bias follows from the number of steps, so that a resumed run continues to the last bit.
 */
export class Adam {
  readonly #learningRate: number;
  readonly #means: Float32Array[];
  readonly #squares: Float32Array[];
  #steps: number;

  /** @param sizes number of elements of each weight. */
  constructor(learningRate: number, sizes: readonly number[], state?: AdamState) {
    this.#learningRate = learningRate;
    this.#steps = state?.steps ?? 0;
    this.#means = sizes.map((size, place) => state?.means[place]?.slice() ?? new Float32Array(size));
    this.#squares = sizes.map((size, place) => state?.squares[place]?.slice() ?? new Float32Array(size));
  }

  /** Counts a step. Call it once before the weights of the step are updated. */
  begin(): void {
    this.#steps += 1;
  }

  /**
   * Changes one weight in place.
   * @param decay of the weight, as the gradient of `decay` · sum of squares; 0 for none.
   */
  update(place: number, weight: Float32Array, gradient: Float32Array, decay: number): void {
    const means = this.#means[place] as Float32Array;
    const squares = this.#squares[place] as Float32Array;
    const rate = (this.#learningRate * Math.sqrt(1 - beta2 ** this.#steps)) / (1 - beta1 ** this.#steps);
    for (let element = 0; element < weight.length; element++) {
      const current = weight[element] as number;
      const slope = (gradient[element] as number) + 2 * decay * current;
      const mean = beta1 * (means[element] as number) + (1 - beta1) * slope;
      const square = beta2 * (squares[element] as number) + (1 - beta2) * slope * slope;
      means[element] = mean;
      squares[element] = square;
      weight[element] = current - (rate * mean) / (Math.sqrt(square) + epsilon);
    }
  }

  /** A copy. */
  get state(): AdamState {
    return {
      steps: this.#steps,
      means: this.#means.map((mean) => mean.slice()),
      squares: this.#squares.map((square) => square.slice()),
    };
  }
}
