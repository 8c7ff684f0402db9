import { TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import { implement, type ServiceImplementation } from "@millrace/grpc";
import { cancelRun } from "./rpc/cancel-run.ts";
import { compareRuns } from "./rpc/compare-runs.ts";
import { getRun } from "./rpc/get-run.ts";
import { getRunReport } from "./rpc/get-run-report.ts";
import { listRuns } from "./rpc/list-runs.ts";
import { startRun } from "./rpc/start-run.ts";
import type { Training } from "./rpc/training.ts";
import { watchRun } from "./rpc/watch-run.ts";

export const trainingService = (training: Training): ServiceImplementation =>
  implement(TrainingService, {
    startRun: startRun(training),
    getRun: getRun(training),
    listRuns: listRuns(training),
    watchRun: watchRun(training),
    cancelRun: cancelRun(training),
    compareRuns: compareRuns(training),
    getRunReport: getRunReport(training),
  });
