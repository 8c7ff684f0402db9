import type { EvaluationSpec, Gate } from "@millrace/contracts/millrace/training/v1/training_spec";
import { type ModelStore, PackageUnknownError } from "@millrace/model-package";
import type { InputDatatype } from "@millrace/onnx";
import { DatasetUnusableError } from "../dataset/dataset-unusable-error.ts";
import type { FeatureColumn } from "../dataset/training-table.ts";
import { championReference } from "../package/output-repository.ts";
import { blocksOf, bootstrap, type HeldOutRows, product } from "./evaluate.ts";
import { type ChampionDifference, worseBy } from "./judge-gates.ts";
import { metricsOf } from "./metric-of.ts";
import { PackageModel } from "./score-rows.ts";

/**
 * Scores the champion on the very same rows, and says for each gate against it by how much the new model is worse, with
 * a paired interval: both see the same draw of blocks.
 *
 * @returns undefined where the spec names no champion, or where no package has its tag yet.
 * @throws DatasetUnusableError for a champion that reads a feature which the dataset does not have.
 */
export const compareWithChampion = async (
  store: ModelStore,
  spec: EvaluationSpec | undefined,
  gates: readonly Gate[],
  rows: HeldOutRows,
  test: Uint32Array,
  features: readonly FeatureColumn[],
  seed: bigint,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, ChampionDifference> | undefined> => {
  const champion = spec?.champion ? await pullChampion(store, championReference(spec.champion), signal) : undefined;
  if (champion === undefined) {
    return undefined;
  }
  const inputs = (champion.manifest.signature?.inputs ?? []).map(({ name, datatype }) => {
    const column = features.find((feature) => feature.name === name);
    if (column === undefined) {
      throw new DatasetUnusableError(
        "evaluation.champion",
        "a package that reads features of this dataset",
        `one that reads ${name}`,
      );
    }
    return { name, datatype: datatype as InputDatatype, column };
  });
  const model = await PackageModel.open(await champion.model(signal), inputs);
  try {
    const theirs = metricsOf(rows.task, rows.labels, await model.score(test, signal));
    const ours = metricsOf(rows.task, rows.labels, rows.scores);
    const blocks = blocksOf(rows.eventTimesUs, spec);
    const differences = new Map<string, ChampionDifference>();
    for (const { metric, rule } of gates) {
      if (rule.case === "notWorseThanChampionBy") {
        const difference = (weights?: Float64Array): number =>
          worseBy(metric, ours(metric, weights), theirs(metric, weights));
        const value = difference(rows.weights);
        const interval =
          blocks && bootstrap(blocks, spec, seed, (weights) => difference(product(weights, rows.weights)));
        differences.set(metric, { value, upper: interval?.upper ?? value });
      }
    }
    return differences;
  } finally {
    await model.close();
  }
};

const pullChampion = async (store: ModelStore, reference: string, signal: AbortSignal) => {
  try {
    return await store.pull(reference, ["model"], signal);
  } catch (error) {
    if (error instanceof PackageUnknownError) {
      return undefined;
    }
    throw error;
  }
};
