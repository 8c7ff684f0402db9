export { type BootstrapOptions, blockBootstrap, type ConfidenceInterval, quantileOfSorted } from "./block-bootstrap.ts";
export {
  Calendar,
  type CalendarWindow,
  TimeZoneUnknownError,
  type WindowLength,
  windowLengths,
} from "./calendar.ts";
export { ComparisonInvalidError } from "./comparison-invalid-error.ts";
export { EmptySampleError } from "./empty-sample-error.ts";
export { type CategoryCounts, sharesOfCategories, sharesOfNumbers } from "./exact/binned-shares.ts";
export { chiSquare, chiSquareSurvival } from "./exact/chi-square.ts";
export {
  type ColumnComparison,
  type ComparedColumn,
  type Comparison,
  compareColumn,
  summarizeComparison,
  type Verdict,
} from "./exact/compare-samples.ts";
export {
  type DriftScore,
  type DriftTest,
  defaultDriftTest,
  driftTest,
  driftTests,
  type Sample,
} from "./exact/drift-test.ts";
export { jensenShannon } from "./exact/jensen-shannon.ts";
export { kolmogorovSurvival } from "./exact/kolmogorov-distribution.ts";
export { kolmogorovSmirnov, type TestResult } from "./exact/kolmogorov-smirnov.ts";
export { populationStabilityIndex } from "./exact/population-stability-index.ts";
export { twoProportionZ } from "./exact/two-proportion-z.ts";
export { normedWasserstein, standardDeviation, wasserstein } from "./exact/wasserstein.ts";
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
export {
  brierScore,
  type CalibrationBin,
  calibrationBins,
  calibrationError,
  calibrationErrorEqualMass,
  logLoss,
} from "./metrics/probability-metrics.ts";
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
export {
  jensenShannonMeasure,
  nullShareMeasure,
  outOfRangeShareMeasure,
  populationStabilityIndexMeasure,
  type StreamedMeasure,
  statusShareMeasure,
  unseenShareMeasure,
  wassersteinMeasure,
} from "./streamed/column-measures.ts";
export {
  type CalibrationPoint,
  calibrationCurve,
  estimatedLogLoss,
  estimatedRocAuc,
  type PerformanceMeasure,
  realizedBrier,
  realizedCalibrationError,
  realizedLogLoss,
  realizedMae,
  realizedRmse,
  realizedRocAuc,
} from "./streamed/performance-measures.ts";
export { type StreamedDistance, streamedWasserstein } from "./streamed/streamed-wasserstein.ts";
