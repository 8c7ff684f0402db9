export { type BootstrapOptions, blockBootstrap, type ConfidenceInterval, quantileOfSorted } from "./block-bootstrap.ts";
export {
  Calendar,
  type CalendarWindow,
  TimeZoneUnknownError,
  type WindowLength,
  windowLengths,
} from "./calendar.ts";
export { EmptySampleError } from "./empty-sample-error.ts";
export { calibrator, fitIsotonic } from "./isotonic.ts";
export { MetricHasNoValueError, type NoValueReason } from "./metric-has-no-value-error.ts";
export { accuracy, f1, precision, recall } from "./metrics/decision-metrics.ts";
export {
  type BinaryMetricName,
  binaryMetric,
  binaryMetricNames,
  higherIsBetter,
  isBinaryMetric,
  isRegressionMetric,
  MetricUnknownError,
  type RegressionMetricName,
  regressionMetric,
  regressionMetricNames,
} from "./metrics/metric.ts";
export { brierScore, calibrationError, calibrationErrorEqualMass, logLoss } from "./metrics/probability-metrics.ts";
export { prAuc, rocAuc } from "./metrics/rank-metrics.ts";
export {
  type EstimatedRows,
  estimatedRows,
  meanAbsoluteError,
  pinballLoss,
  r2,
  rmse,
} from "./metrics/regression-metrics.ts";
export { type Numbers, type ScoredRows, scoredRows } from "./metrics/scored-rows.ts";
export { type BaselineRows, buildBaseline } from "./profile/build-baseline.ts";
export { type ColumnData, isNumeric } from "./profile/column-data.ts";
export { ColumnProfiler, type DeclaredRange } from "./profile/column-profiler.ts";
export { fitColumnLayout, type LayoutOptions } from "./profile/fit-column-layout.ts";
export { PerformanceProfiler, SCORE_BINS, scoreBinOf } from "./profile/performance-profiler.ts";
export { mergeProfiles, ProfileBuilder, type ProfileOptions } from "./profile/profile-builder.ts";
export { seededRandom } from "./seeded-random.ts";
