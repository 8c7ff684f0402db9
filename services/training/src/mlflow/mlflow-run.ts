import { toJson } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Run, RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { flattened } from "../report/flattened.ts";
import { stateName } from "../runs/state-name.ts";
import type { MlflowMetric, MlflowRun, MlflowText } from "./mlflow-client.ts";

/** MLflow takes so many characters of a parameter, and so many of a name. */
const mostOfParam = 500;
const mostOfKey = 250;

/**
 * A run as MLflow has it: the spec's fields are its parameters, losses by epoch and the metrics of the test split its
 * metrics, and what leads to its package its tags. A rejected run is FINISHED: it has a package and figures; its tag
 * `millrace.state` says the rest.
 */
export const mlflowRun = (run: Run): MlflowRun => {
  const { spec, evaluation, createdAt, startedAt, endedAt } = run;
  const endMs = msOf(endedAt) ?? msOf(createdAt) ?? 0;
  const startMs = msOf(startedAt) ?? msOf(createdAt) ?? endMs;
  const fields = spec === undefined ? new Map<string, string>() : flattened(toJson(TrainingSpecSchema, spec));
  return {
    experiment: spec?.name || "millrace",
    name: run.id,
    startMs,
    endMs,
    status: run.state === RunState.FAILED ? "FAILED" : run.state === RunState.CANCELLED ? "KILLED" : "FINISHED",
    tags: [
      { key: "millrace.run_id", value: run.id },
      ...texts({
        "millrace.state": stateName(run.state),
        "millrace.package": run.packageReference,
        "millrace.package_tags": run.packageTags.join(","),
        "millrace.dataset_snapshot": run.datasetSnapshotId,
        "millrace.backend": run.backend,
        "millrace.error": run.error === undefined ? "" : `${run.error.reason}: ${run.error.message}`,
        "mlflow.user": run.requestedBy,
        "mlflow.source.git.commit": run.codeRevision,
      }),
    ],
    params: texts(Object.fromEntries(fields)).map(({ key, value }) => ({ key, value: value.slice(0, mostOfParam) })),
    metrics: [
      ...run.epochs.flatMap(({ epoch, trainingLoss, validationLoss, metrics }) =>
        metricsOf({ training_loss: trainingLoss, validation_loss: validationLoss, ...metrics }, endMs, epoch),
      ),
      ...metricsOf(
        Object.fromEntries((evaluation?.metrics ?? []).map(({ name, value }) => [`test_${name.toLowerCase()}`, value])),
        endMs,
        0,
      ),
    ],
  };
};

const msOf = (time: Timestamp | undefined): number | undefined => (time === undefined ? undefined : timestampMs(time));

/** Keys and texts that MLflow takes, without those that are empty. */
const texts = (values: Readonly<Record<string, string>>): MlflowText[] =>
  Object.entries(values)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => ({ key: keyOf(key), value }));

/** What is not finite has no form in JSON, and is left out. */
const metricsOf = (values: Readonly<Record<string, number>>, timestamp: number, step: number): MlflowMetric[] =>
  Object.entries(values)
    .filter(([, value]) => Number.isFinite(value))
    .map(([key, value]) => ({ key: keyOf(key), value, timestamp, step }));

/** Names have letters, digits, `_`, `-`, `.`, `/` and spaces. */
const keyOf = (name: string): string => name.replaceAll(/[^A-Za-z0-9_\-./ ]/g, "_").slice(0, mostOfKey);
