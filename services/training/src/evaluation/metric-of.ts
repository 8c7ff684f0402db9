import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import {
  binaryMetric,
  estimatedRows,
  isBinaryMetric,
  isRegressionMetric,
  type Numbers,
  regressionMetric,
  scoredRows,
} from "@millrace/stats";

/** What is computed where the spec names nothing. */
export const defaultMetrics = (task: Task): readonly string[] =>
  task === Task.BINARY
    ? ["ROC_AUC", "PR_AUC", "LOG_LOSS", "BRIER", "CALIBRATION_ERROR", "ACCURACY"]
    : ["RMSE", "MAE", "R2"];

export const isMetricOf = (task: Task, name: string): boolean =>
  task === Task.BINARY ? isBinaryMetric(name) : isRegressionMetric(name);

/**
 * Prepares rows so that each metric of them, also by other weights, sorts them once at most.
 * @returns the metric by name; it throws MetricHasNoValueError where it is not defined on these rows.
 */
export const metricsOf = (
  task: Task,
  labels: Numbers,
  scores: Numbers,
): ((name: string, weights?: Numbers) => number) => {
  if (task === Task.BINARY) {
    const rows = scoredRows(labels, scores);
    return (name, weights) => binaryMetric(name, rows, weights);
  }
  const rows = estimatedRows(labels, scores);
  return (name, weights) => regressionMetric(name, rows, weights);
};
