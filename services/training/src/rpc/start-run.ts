import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { RunSchema, RunState, type TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import type { TrainingSpec } from "@millrace/contracts/millrace/training/v1/training_spec";
import type { Unary } from "@millrace/grpc";
import { newRunId } from "../runs/run-ledger.ts";
import { checkFeatures } from "../spec/check-features.ts";
import { checkSpec } from "../spec/check-spec.ts";
import { NotBuiltError } from "../spec/not-built-error.ts";
import { TrainingSpecInvalidError } from "../spec/training-spec-invalid-error.ts";
import type { Training } from "./training.ts";

/** Checks a spec wholly, writes the record of its run and puts it in the queue. */
export const startRun =
  ({ ledger, queue, features, dataRoot, now }: Training): Unary<typeof TrainingService.method.startRun> =>
  async (request, call) => {
    const { spec, idempotencyKey, requestedBy, codeRevision } = request;
    if (spec === undefined) {
      throw new TrainingSpecInvalidError([{ field: "spec", expected: "a training spec", got: "none" }]);
    }
    refuseWhatIsNotBuilt(spec);
    const violations = checkSpec(spec);
    refuse(violations);
    refuse(await checkFeatures(spec, features, dataRoot, call.signal));
    queue.refuseWhenFull();
    const nowMs = now();
    const { run, isNew } = await ledger.create(
      create(RunSchema, {
        id: newRunId(nowMs),
        spec,
        state: RunState.QUEUED,
        createdAt: timestampFromMs(nowMs),
        requestedBy,
        codeRevision,
      }),
      idempotencyKey,
    );
    if (isNew) {
      queue.add(run.id);
    }
    return { run };
  };

const refuse = (violations: ReturnType<typeof checkSpec>): void => {
  if (violations.length > 0) {
    throw new TrainingSpecInvalidError(violations);
  }
};

const refuseWhatIsNotBuilt = ({ trainer, search, dataset }: TrainingSpec): void => {
  if (trainer?.trainer.case === "command") {
    throw new NotBuiltError("spec.trainer.command", "The command trainer", "Use the tfjs trainer.");
  }
  if (search !== undefined) {
    throw new NotBuiltError("spec.search", "The search over hyperparameters", "Start one run a setting.");
  }
  if (dataset?.featureService === "" && dataset.examples?.data.case === "sql") {
    throw new NotBuiltError(
      "spec.dataset.examples.sql",
      "A dataset of SQL alone",
      "Use parquet or csv, or a feature service.",
    );
  }
};
