import { create, fromBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { EvaluationSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import {
  CalibrationBinSchema,
  type Epoch,
  EpochSchema,
  type Run,
  RunErrorSchema,
  RunProgressSchema,
  RunState,
  TrialSchema,
} from "@millrace/contracts/millrace/training/v1/training_service";
import type { FinishedEpoch } from "../network/checkpoint.ts";
import type { RunReport } from "../pipeline/run-report.ts";
import type { ProcessEnd } from "./run-process.ts";

/** Shows how far a run is. */
export const showProgress = (run: Run, report: RunReport & { kind: "rows" | "training" }): void => {
  const { rows, totalRows } = report;
  const detail = run.progress?.detail ?? "";
  const seen = { rows: BigInt(rows), totalRows: BigInt(totalRows), detail };
  if (report.kind === "rows") {
    run.progress = create(RunProgressSchema, seen);
  } else {
    const { epoch, totalEpochs, loss, secondsLeft } = report;
    run.progress = create(RunProgressSchema, { ...seen, epoch, totalEpochs, loss, secondsLeft });
  }
};

/** Writes into a run's record what its process says. */
export const recordReport = (run: Run, report: Exclude<RunReport, { kind: "rows" | "training" }>): void => {
  switch (report.kind) {
    case "phase":
      run.phase = report.phase;
      run.progress = create(RunProgressSchema, { detail: report.detail });
      return;
    case "epoch":
      run.epochs = [...run.epochs.filter((known) => known.epoch < report.epoch.epoch), epochOf(report.epoch)];
      return;
    case "epochs":
      run.epochs = report.epochs.map(epochOf);
      return;
    case "trials":
      run.trials = report.trials.map(({ number, parameters, validationLoss, seconds, error }) =>
        create(TrialSchema, {
          number,
          parameters: { ...parameters },
          ...(validationLoss === undefined ? {} : { validationLoss }),
          seconds,
          error,
          chosen: number === report.chosen,
        }),
      );
      return;
    case "dataset":
      run.datasetSnapshotId = report.snapshotId;
      run.trainingRows = BigInt(report.trainingRows);
      run.validationRows = BigInt(report.validationRows);
      run.testRows = BigInt(report.testRows);
      return;
    case "backend":
      run.backend = report.text;
      return;
    case "log":
      run.log = [...report.lines];
      return;
    case "reported":
      run.reportedMetrics = { ...report.metrics };
      return;
    case "packaged":
      run.evaluation = fromBinary(EvaluationSchema, report.evaluation);
      run.calibrationBins = report.calibrationBins.map((bin) => create(CalibrationBinSchema, bin));
      run.importance = { ...report.importance };
      run.packageReference = report.reference;
      run.packageDigest = report.digest;
      run.packageTags = [...report.tags];
      if (report.rejectedBecause !== "") {
        run.error = create(RunErrorSchema, {
          reason: "GATE_NOT_PASSED",
          message: report.rejectedBecause,
          field: "gates",
        });
      }
      return;
  }
};

const epochOf = ({ epoch, trainingLoss, validationLoss, seconds, metrics = {} }: FinishedEpoch): Epoch =>
  create(EpochSchema, { epoch, trainingLoss, validationLoss, seconds, metrics: { ...metrics } });

/** Writes into a run's record how it ended. @param retries attempts after a crash. */
export const finish = (run: Run, end: ProcessEnd, retries: number): void => {
  run.endedAt = timestampNow();
  run.progress = create(RunProgressSchema);
  if (end.kind === "failed") {
    run.state = RunState.FAILED;
    run.error = create(RunErrorSchema, { reason: end.reason, message: end.message, field: end.field });
  } else if (end.kind === "crashed") {
    run.state = RunState.FAILED;
    const message = `The run's process crashed (${end.how}), and did so again after each of ${retries} more attempts.`;
    run.error = create(RunErrorSchema, { reason: "INTERNAL", message });
  } else if (end.kind === "stopped") {
    run.state = RunState.CANCELLED;
  } else {
    run.state = run.error === undefined ? RunState.SUCCEEDED : RunState.REJECTED;
  }
};
