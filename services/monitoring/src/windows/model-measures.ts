import { create } from "@bufbuild/protobuf";
import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { type Measure, MeasureSchema } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import {
  estimatedLogLoss,
  estimatedRocAuc,
  type PerformanceMeasure,
  realizedBrier,
  realizedCalibrationError,
  realizedLogLoss,
  realizedMae,
  realizedRmse,
  realizedRocAuc,
} from "@millrace/stats";
import type { CountedWindow } from "./window-reader.ts";

/** Quality, coverage and duplicates of a window. Thresholds are put in by the rules. */
export const measureModel = ({ profile, duplicates, watched }: CountedWindow): Measure[] => {
  const rows = Number(profile.rows);
  const measures: Measure[] = [];
  const { performance } = profile;
  if (performance !== undefined && watched.task === Task.BINARY) {
    const realized = realizedLogLoss(performance);
    const estimated = estimatedLogLoss(performance);
    measures.push(
      toMessage("ROC_AUC", realizedRocAuc(performance)),
      toMessage("ESTIMATED_ROC_AUC", estimatedRocAuc(performance)),
      toMessage("LOG_LOSS", realized),
      toMessage("ESTIMATED_LOG_LOSS", estimated),
      toMessage("LOG_LOSS_EXCESS", difference(realized, estimated)),
      toMessage("BRIER", realizedBrier(performance)),
      toMessage("CALIBRATION_ERROR", realizedCalibrationError(performance)),
    );
  }
  if (performance !== undefined && watched.task === Task.REGRESSION)
    measures.push(toMessage("RMSE", realizedRmse(performance)), toMessage("MAE", realizedMae(performance)));
  if (performance !== undefined && rows > 0) measures.push(share("LABEL_COVERAGE", Number(performance.labelled), rows));
  if (rows + duplicates > 0) measures.push(share("DUPLICATE_SHARE", duplicates, rows + duplicates));
  return measures;
};

const difference = (realized: PerformanceMeasure, estimated: PerformanceMeasure): PerformanceMeasure => {
  if (!("value" in realized)) return realized;
  if (!("value" in estimated)) return estimated;
  return {
    value: realized.value - estimated.value,
    rows: realized.rows,
    standardError: Math.hypot(realized.standardError ?? 0, estimated.standardError ?? 0),
  };
};

const share = (name: string, part: number, rows: number): Measure =>
  create(MeasureSchema, { name, value: part / rows, rows: BigInt(rows) });

const toMessage = (name: string, measure: PerformanceMeasure): Measure => {
  if (!("value" in measure))
    return create(MeasureSchema, { name, rows: BigInt(Math.round(measure.rows)), noValue: measure.noValue });
  const { value, rows, errorBound, standardError } = measure;
  return create(MeasureSchema, {
    name,
    value,
    rows: BigInt(Math.round(rows)),
    ...(errorBound === undefined ? {} : { errorBound }),
    ...(standardError === undefined ? {} : { standardError }),
  });
};
