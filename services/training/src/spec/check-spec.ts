import { toJsonString } from "@bufbuild/protobuf";
import {
  type CommandTrainer,
  type Dataset,
  type TfjsTrainer,
  type TrainingSpec,
  TrainingSpecSchema,
} from "@millrace/contracts/millrace/training/v1/training_spec";
import type { FieldViolation } from "@millrace/errors";
import { parseDurationUs } from "@millrace/feature-definition";
import { exportableActivations } from "@millrace/onnx";
import { isBinaryMetric, isRegressionMetric } from "@millrace/stats";
import { trainerColumns } from "../command/write-trainer-dataset.ts";
import { timestampUs } from "../dataset/split-dataset.ts";
import { checkSearch } from "../search/check-search.ts";

type Complain = (field: string, expected: string, got: string) => void;

/**
 * What a spec says that cannot work, whatever the data is: all of it at once. What the contract itself rules out (a
 * missing label, no layers) has been refused before, by its own rules.
 */
export const checkSpec = (spec: TrainingSpec): FieldViolation[] => {
  const violations: FieldViolation[] = [];
  const complain: Complain = (field, expected, got) => violations.push({ field: `spec.${field}`, expected, got });
  if (spec.dataset !== undefined) {
    checkDataset(spec.dataset, complain);
  }
  if (spec.trainer?.trainer.case === "tfjs") {
    checkTrainer(spec.trainer.trainer.value, complain);
  }
  if (spec.trainer?.trainer.case === "command") {
    checkCommand(spec, spec.trainer.trainer.value, complain);
  }
  checkSearch(spec, complain);
  checkEvaluation(spec, complain);
  checkOutput(spec, complain);
  return violations;
};

const checkDataset = (dataset: Dataset, complain: Complain): void => {
  const { split, examples } = dataset;
  if (dataset.featureService === "" && dataset.columns.length === 0) {
    complain("dataset", "a feature_service, or columns of the examples", "neither");
  }
  if (dataset.featureService !== "" && dataset.columns.length > 0) {
    complain("dataset.columns", "none beside a feature_service", dataset.columns.join(", "));
  }
  refuseTwice(dataset.columns, "dataset.columns", complain);
  if (split?.split.case === "byTime") {
    const { validationFrom, testFrom, testTo } = split.split.value;
    if (timestampUs(testFrom) <= timestampUs(validationFrom)) {
      complain("dataset.split.by_time.test_from", "a time after validation_from", "one that is not");
    }
    if (testTo !== undefined && timestampUs(testTo) <= timestampUs(testFrom)) {
      complain("dataset.split.by_time.test_to", "a time after test_from", "one that is not");
    }
  }
  if (split?.split.case === "byHash" && split.split.value.validation + split.split.value.test >= 1) {
    const sum = split.split.value.validation + split.split.value.test;
    complain("dataset.split.by_hash", "shares of validation and test below 1 together", String(sum));
  }
  if (dataset.featureService === "" && Object.keys(examples?.request ?? {}).length > 0) {
    complain(
      "dataset.examples.request",
      "none without a feature_service",
      Object.keys(examples?.request ?? {}).join(", "),
    );
  }
};

/** The most of a spec that fits into a variable of a program's environment (Linux's MAX_ARG_STRLEN, less a margin). */
const mostSpecBytes = 120_000;

const checkCommand = (spec: TrainingSpec, trainer: CommandTrainer, complain: Complain): void => {
  const timeoutUs = trainer.timeout === "" ? 1n : parseDurationUs(trainer.timeout);
  // A timer of Node's holds 2^31 ms.
  if (timeoutUs === undefined || timeoutUs <= 0n || timeoutUs >= 2n ** 31n * 1000n) {
    complain("trainer.command.timeout", "a duration above 0 and below 24d, such as 30m", trainer.timeout);
  }
  for (const name of Object.keys(trainer.environment)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || name.startsWith("MILLRACE_")) {
      complain(`trainer.command.environment[${name}]`, "a variable's name that does not begin with MILLRACE_", name);
    }
  }
  if ([...trainer.argv, ...Object.values(trainer.environment)].some((text) => text.includes("\0"))) {
    complain("trainer.command", "text without NUL characters", "a NUL character");
  }
  for (const name of spec.dataset?.columns ?? []) {
    if (trainerColumns.some((own) => own === name)) {
      complain("dataset.columns", `features with other names than ${trainerColumns.join(", ")}`, name);
    }
  }
  const bytes = Buffer.byteLength(toJsonString(TrainingSpecSchema, spec));
  if (bytes > mostSpecBytes)
    complain("trainer.command", `a spec of at most ${mostSpecBytes} bytes as JSON`, String(bytes));
};

const checkTrainer = (trainer: TfjsTrainer, complain: Complain): void => {
  trainer.layers.forEach(({ layer }, place) => {
    const field = `trainer.tfjs.layers[${place}].${layer.case ?? ""}`;
    if (layer.case === "dense" && !isUnits(layer.value)) {
      complain(field, "1 to 65536 units", String(layer.value));
    }
    if (layer.case === "denseWith") {
      if (!isUnits(layer.value.units)) {
        complain(`${field}.units`, "1 to 65536 units", String(layer.value.units));
      }
      if (layer.value.activation !== "" && !exportableActivations.has(layer.value.activation)) {
        complain(`${field}.activation`, `one of ${[...exportableActivations].join(", ")}`, layer.value.activation);
      }
    }
    if (layer.case === "dropout" && !(layer.value >= 0 && layer.value < 1)) {
      complain(field, "a share from 0 to below 1", String(layer.value));
    }
  });
  if (!(trainer.l2 >= 0 && Number.isFinite(trainer.l2))) {
    complain("trainer.tfjs.l2", "0 or more", String(trainer.l2));
  }
  if (trainer.earlyStopping !== undefined && trainer.earlyStopping.patience === 0) {
    complain("trainer.tfjs.early_stopping.patience", "1 epoch or more", "0");
  }
  refuseTwice(
    trainer.preparation.map(({ feature }) => feature),
    "trainer.tfjs.preparation",
    complain,
  );
  trainer.preparation.forEach(({ preparation }, place) => {
    const field = `trainer.tfjs.preparation[${place}]`;
    if (preparation.case === undefined) {
      complain(field, "one of standardize, one_hot, embedding, cyclic", "none");
    }
    if (preparation.case === "cyclic" && !(preparation.value.period > 0 && Number.isFinite(preparation.value.period))) {
      complain(`${field}.cyclic.period`, "a period above 0", String(preparation.value.period));
    }
    if (preparation.case === "embedding" && preparation.value.dimensions > 4096) {
      complain(`${field}.embedding.dimensions`, "at most 4096", String(preparation.value.dimensions));
    }
  });
};

const checkEvaluation = ({ evaluation, gates, dataset }: TrainingSpec, complain: Complain): void => {
  const known = "a metric of binary labels (ROC_AUC, LOG_LOSS, …) or of a regression (RMSE, MAE, R2, PINBALL_1 to 99)";
  evaluation?.metrics.forEach((metric, place) => {
    if (!isBinaryMetric(metric) && !isRegressionMetric(metric)) {
      complain(`evaluation.metrics[${place}]`, known, metric);
    }
  });
  gates.forEach(({ metric, rule }, place) => {
    if (!isBinaryMetric(metric) && !isRegressionMetric(metric)) {
      complain(`gates[${place}].metric`, known, metric);
    }
    if (rule.case === "notWorseThanChampionBy" && !evaluation?.champion) {
      complain("evaluation.champion", `a package to compare with, for gates[${place}]`, "none");
    }
  });
  const slices = new Set([
    ...Object.keys(dataset?.examples?.slices ?? {}),
    ...Object.keys(dataset?.examples?.entities ?? {}),
  ]);
  evaluation?.slices.forEach((slice, place) => {
    if (!slices.has(slice)) {
      complain(
        `evaluation.slices[${place}]`,
        `one of ${[...slices].join(", ") || "dataset.examples.slices, which has none"}`,
        slice,
      );
    }
  });
  const blockBy = evaluation?.bootstrap?.blockBy ?? "";
  if (blockBy !== "") {
    const durationUs = parseDurationUs(blockBy);
    if (durationUs === undefined || durationUs <= 0n) {
      complain("evaluation.bootstrap.block_by", "a duration such as 1d or 6h", blockBy);
    }
  }
  if ((evaluation?.bootstrap?.resamples ?? 0) > 10_000) {
    complain("evaluation.bootstrap.resamples", "at most 10000", String(evaluation?.bootstrap?.resamples));
  }
};

const checkOutput = ({ output }: TrainingSpec, complain: Complain): void => {
  const repository = output?.repository ?? "";
  if (repository !== "" && !/^oci:.+\/[^/]+$/.test(repository) && !/^[a-z0-9]+([._/-]+[a-z0-9]+)*$/.test(repository)) {
    complain("output.repository", "a name such as flight_delay, or oci:./folder/flight_delay", repository);
  }
  if (output?.tag && !/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(output.tag)) {
    complain("output.tag", "1 to 128 letters, digits, _, . or -", output.tag);
  }
};

const isUnits = (units: number): boolean => units >= 1 && units <= 65_536;

const refuseTwice = (names: readonly string[], field: string, complain: Complain): void => {
  names.forEach((name, place) => {
    if (names.indexOf(name) < place) {
      complain(`${field}[${place}]`, "each name once", `${name} again`);
    }
  });
};
