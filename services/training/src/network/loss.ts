import { Task } from "@millrace/contracts/millrace/model/v1/model_package";

/**
 * The loss of a batch and its slope by the network's last layer, in one pass. The slopes are divided by the sum of the
 * weights, as the mean is.
 *
 * BINARY: log loss of the logit z, max(z, 0) - z·y + log(1 + e^-|z|), slope σ(z) - y. REGRESSION: half the squared error
 * of the standardised label, slope z - y.
 *
 * @param outputs one a row. @param labels 0 or 1, or the standardised number. @param weights one a row; undefined: all 1.
 * @param slopes is filled where it is given.
 * @returns the sum of weighted losses, and of the weights.
 */
export const lossOf = (
  task: Task,
  outputs: Float32Array,
  labels: Float32Array,
  weights: Float32Array | undefined,
  slopes?: Float32Array,
): { readonly sum: number; readonly weight: number } => {
  const rows = labels.length;
  let total = rows;
  if (weights !== undefined) {
    total = 0;
    for (let row = 0; row < rows; row++) {
      total += weights[row] as number;
    }
  }
  const scale = total > 0 ? 1 / total : 0;
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    const z = outputs[row] as number;
    const y = labels[row] as number;
    const weight = weights === undefined ? 1 : (weights[row] as number);
    let slope = z - y;
    if (task === Task.BINARY) {
      const small = Math.exp(-Math.abs(z));
      sum += weight * (Math.max(z, 0) - z * y + Math.log1p(small));
      slope = (z >= 0 ? 1 / (1 + small) : small / (1 + small)) - y;
    } else {
      sum += weight * 0.5 * slope * slope;
    }
    if (slopes !== undefined) {
      slopes[row] = weight * scale * slope;
    }
  }
  return { sum, weight: total };
};
