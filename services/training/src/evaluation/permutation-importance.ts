import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { KeyedPermutation } from "../network/keyed-permutation.ts";
import { metricsOf } from "./metric-of.ts";
import type { PackageModel } from "./score-rows.ts";

const mostRows = 20_000;

/**
 * What each input is worth: by how much the log loss (for a regression the squared error) of the validation split rises
 * when the input's values are dealt out to other rows (Breiman 2001). At most 20,000 rows, the same for the same seed.
 */
export const permutationImportance = async (
  model: PackageModel,
  inputs: readonly string[],
  rows: Uint32Array,
  labels: Float64Array,
  task: Task,
  seed: bigint,
  signal: AbortSignal,
): Promise<Map<string, number>> => {
  const chosen = new KeyedPermutation(rows.length, seed, 4);
  const count = Math.min(rows.length, mostRows);
  const taken = Uint32Array.from({ length: count }, (_, place) => rows[chosen.at(place)] as number);
  const takenLabels = Float64Array.from(taken, (row) => labels[row] as number);
  const lossOf = (scores: Float32Array): number =>
    task === Task.BINARY
      ? metricsOf(task, takenLabels, scores)("LOG_LOSS")
      : metricsOf(task, takenLabels, scores)("RMSE") ** 2;
  const untouched = lossOf(await model.score(taken, signal));
  const importance = new Map<string, number>();
  for (const [number, input] of inputs.entries()) {
    const dealt = new KeyedPermutation(count, seed, 5, number);
    const moved = Uint32Array.from(taken, (_, place) => taken[dealt.at(place)] as number);
    importance.set(input, lossOf(await model.score(taken, signal, { input, rows: moved })) - untouched);
  }
  return importance;
};
