import { type Calibration, Meaning, type ModelPackage } from "@millrace/contracts/millrace/model/v1/model_package";
import { calibrator } from "@millrace/stats";
import { bytesOf, type Tensor, toNumbers } from "@millrace/tensor";

/** The output that a package's calibration is of, and its probabilities row by row. */
export interface CalibratedOutput {
  readonly name: string;
  /** As many as the output has elements, in row-major order. */
  readonly probabilities: Float64Array;
  /** The output with the probabilities in the place of the scores. */
  readonly tensor: Tensor;
}

/**
 * The outputs of a graph as Predict answers them: the scores of the package's probability output mapped by its
 * calibration. The map is fitted on what the graph itself gives, so it holds whatever the graph does inside. An output of
 * one element a row is the positive class; of two, the negative and the positive one.
 * @returns undefined where the package has no calibration, or no output that it can be of.
 */
export const calibratedOutput = (
  manifest: ModelPackage | undefined,
  outputs: readonly Tensor[],
): CalibratedOutput | undefined => {
  const calibration = manifest?.calibration;
  if (calibration === undefined || calibration.scores.length === 0) return undefined;
  const name = manifest?.signature?.outputs.find(({ meaning }) => meaning === Meaning.PROBABILITY)?.name;
  const output = outputs.find((each) => each.name === name);
  if (output === undefined || (output.datatype !== "FP32" && output.datatype !== "FP64")) return undefined;
  const classes = output.shape.slice(1).reduce((product, dimension) => product * dimension, 1);
  if (classes !== 1 && classes !== 2) return undefined;
  const calibrate = calibratorOf(calibration);
  const scores = toNumbers(output.datatype, output.data);
  const probabilities = new Float64Array(scores.length);
  for (let at = classes - 1; at < scores.length; at += classes) {
    // A graph that gave no number gave no score to map.
    const score = scores[at] ?? Number.NaN;
    const probability = Number.isNaN(score) ? score : calibrate(score);
    probabilities[at] = probability;
    if (classes === 2) probabilities[at - 1] = 1 - probability;
  }
  const data = bytesOf(output.datatype === "FP32" ? Float32Array.from(probabilities) : probabilities);
  return { name: output.name, probabilities, tensor: { ...output, data } };
};

const calibrators = new WeakMap<Calibration, (score: number) => number>();

const calibratorOf = (calibration: Calibration): ((score: number) => number) => {
  let calibrate = calibrators.get(calibration);
  if (calibrate === undefined) {
    calibrate = calibrator(calibration);
    calibrators.set(calibration, calibrate);
  }
  return calibrate;
};
