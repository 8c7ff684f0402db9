import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Evaluation, EvaluationSchema, Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { RunPhase } from "@millrace/contracts/millrace/training/v1/training_service";
import { type TrainingSpec, TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { openModelStore } from "@millrace/model-package";
import { buildBaseline, calibrationBins, calibrator, fitIsotonic, scoredRows } from "@millrace/stats";
import { type SplitDataset, splitDataset } from "../dataset/split-dataset.ts";
import type { TrainingTable } from "../dataset/training-table.ts";
import { compareWithChampion } from "../evaluation/compare-with-champion.ts";
import { evaluate, type HeldOutRows } from "../evaluation/evaluate.ts";
import { judgeGates } from "../evaluation/judge-gates.ts";
import { defaultMetrics, metricsOf } from "../evaluation/metric-of.ts";
import { permutationImportance } from "../evaluation/permutation-importance.ts";
import { baselineColumns } from "../package/baseline-columns.ts";
import { buildGolden } from "../package/build-golden.ts";
import { buildManifest } from "../package/build-manifest.ts";
import { outputRepository } from "../package/output-repository.ts";
import { writeCard } from "../package/write-card.ts";
import { fitPreparation } from "../preparation/fit-preparation.ts";
import { loadDataset } from "./load-dataset.ts";
import { openTrained } from "./open-trained.ts";
import type { RunOrder, RunReport } from "./run-report.ts";
import { trainModel } from "./train-model.ts";

/**
 * A whole run, from the dataset to the tagged package: read, split, fit the preparation, train, export and check the
 * export, evaluate through onnxruntime with the very bytes of the package, judge the gates, push. Begun again in the same
 * folder it goes on from what is there, and ends with the same digest.
 */
export const runPipeline = async (
  order: RunOrder,
  report: (message: RunReport) => void,
  signal: AbortSignal,
): Promise<void> => {
  const spec = fromBinary(TrainingSpecSchema, order.spec);
  const phase = (which: RunPhase, detail: string): void => report({ kind: "phase", phase: which, detail });

  phase(RunPhase.READING, "Reading the dataset.");
  const { table, featureService } = await loadDataset(spec, order, report, signal);
  const split = splitDataset(table, spec.dataset?.split);
  const { training, validation, test, task } = split;
  report({
    kind: "dataset",
    snapshotId: table.origin.snapshotId,
    trainingRows: training.length,
    validationRows: validation.length,
    testRows: test.length,
  });

  phase(RunPhase.FITTING_PREPARATION, `Learning from ${training.length} rows how each feature is prepared.`);
  // A feature can be missing when it is served though it never was in the dataset: an entity may be new.
  const neverNull = new Set(featureService?.features.filter((field) => field.neverNull).map(({ name }) => name));
  const fitted = fitPreparation(
    table.features,
    training,
    spec.trainer?.trainer.case === "tfjs" ? spec.trainer.trainer.value.preparation : [],
    (name) => featureService !== undefined && !neverNull.has(name),
  );
  const trained = await trainModel({
    spec,
    table,
    split,
    inputs: fitted,
    order,
    programDataset: join(order.runFolder, "trainer-dataset"),
    report,
    signal,
  });
  const { model, inputs, outputName } = trained;
  const { scored, columns } = await openTrained(trained, table);
  const target = outputRepository(spec.output?.repository ?? "", order.modelStoreUrl);
  const store = await openModelStore(target.storeUrl);
  try {
    const scores = await scored.score(test, signal);
    trained.check(test, scores);

    phase(RunPhase.EVALUATING, `Evaluating the package on ${test.length} rows.`);
    const heldOut = heldOutRows(table, split, test, scores);
    const validationScores = await scored.score(validation, signal);
    const calibration =
      task === Task.BINARY ? fitIsotonic(validationScores, pick(table.labels, validation)) : undefined;
    const measured = evaluate(heldOut, metricNames(spec, task), spec.evaluation, spec.seed);
    const calibrated =
      calibration === undefined ? [] : calibratedMetrics(heldOut, calibrator(calibration), metricNames(spec, task));
    const champion = await compareWithChampion(
      store,
      spec.evaluation,
      spec.gates,
      heldOut,
      test,
      table.features,
      spec.seed,
      signal,
    );
    const evaluation = create(EvaluationSchema, {
      metrics: [...measured.metrics, ...calibrated],
      slices: measured.slices,
      gates: judgeGates(spec.gates, measured.metrics, champion),
    });
    const importance = await permutationImportance(
      scored,
      inputs.map(({ name }) => name),
      validation,
      table.labels,
      task,
      spec.seed,
      signal,
    );

    phase(RunPhase.PACKAGING, "Profiling the training period and writing the package.");
    const rows = Uint32Array.from([...training, ...validation, ...test]).sort();
    const allScores = await scored.score(rows, signal);
    const baseline = buildBaseline({
      columns: baselineColumns(inputs, columns, rows, { name: outputName, scores: allScores, task }),
      eventTimesUs: BigInt64Array.from(rows, (row) => table.eventTimesUs[row] as bigint),
      ...(task === Task.BINARY
        ? { performance: { scores: allScores, labels: pick(table.labels, rows), calibration } }
        : {}),
    });
    const manifest = buildManifest({
      spec,
      table,
      split,
      inputs,
      featureService,
      model,
      evaluation,
      calibration,
      importance,
      trainer: trained.trainer,
      parameters: trained.parameters ?? {},
      codeRevision: order.codeRevision,
    });
    const rejectedBecause = rejection(evaluation);
    const content = {
      manifest,
      model,
      baseline,
      golden: await buildGolden(scored, outputName, columns, test, signal),
      card: writeCard(manifest, importance, rejectedBecause),
    };
    const tag = rejectedBecause === "" ? spec.output?.tag || "candidate" : "rejected";
    const { digest } = await store.push(target.repository, content, [tag], signal);
    report({
      kind: "packaged",
      evaluation: toBinary(EvaluationSchema, evaluation),
      calibrationBins:
        task === Task.BINARY ? calibrationBins(scoredRows(heldOut.labels, heldOut.scores), heldOut.weights) : [],
      importance: Object.fromEntries(importance),
      reference: `${target.repository}@${digest}`,
      digest,
      tags: [tag],
      rejectedBecause,
    });
  } finally {
    await store.close();
    await scored.close();
    trained.close();
  }
};

const metricNames = (spec: TrainingSpec, task: Task): readonly string[] => {
  const asked = spec.evaluation?.metrics ?? [];
  const names = asked.length > 0 ? asked : defaultMetrics(task);
  // A gate's metric is measured even where the spec does not list it.
  return [...new Set([...names, ...spec.gates.map(({ metric }) => metric)])];
};

const pick = (values: Float64Array, rows: Uint32Array): Float64Array =>
  Float64Array.from(rows, (row) => values[row] as number);

const heldOutRows = (
  table: TrainingTable,
  { task }: SplitDataset,
  test: Uint32Array,
  scores: Float32Array,
): HeldOutRows => ({
  task,
  labels: pick(table.labels, test),
  scores,
  weights: table.weights && pick(table.weights, test),
  eventTimesUs: BigInt64Array.from(test, (row) => table.eventTimesUs[row] as bigint),
  slices: new Map(
    [...table.slices].map(([name, values]) => [name, Array.from(test, (row) => values[row] ?? "")] as const),
  ),
});

/** The metrics that calibration changes, measured once more on the calibrated probabilities of the test split. */
const calibratedMetrics = (
  rows: HeldOutRows,
  calibrate: (score: number) => number,
  names: readonly string[],
): Evaluation["metrics"] => {
  const metric = metricsOf(rows.task, rows.labels, Float64Array.from(rows.scores, calibrate));
  return ["LOG_LOSS", "BRIER", "CALIBRATION_ERROR"]
    .filter((name) => names.includes(name))
    .map((name) => ({
      $typeName: "millrace.model.v1.Metric",
      name: `${name}_CALIBRATED`,
      value: metric(name, rows.weights),
      rows: BigInt(rows.labels.length),
    }));
};

const rejection = ({ gates }: Evaluation): string =>
  gates
    .filter(({ passed }) => !passed)
    .map(({ rule, value }) => `${rule}: it is ${value.toPrecision(4)}.`)
    .join(" ");
