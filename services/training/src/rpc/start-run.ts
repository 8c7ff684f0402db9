import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { RunSchema, RunState, type TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { Unary } from "@millrace/grpc";
import { newRunId } from "../runs/run-ledger.ts";
import { checkFeatures } from "../spec/check-features.ts";
import { checkSpec } from "../spec/check-spec.ts";
import { TrainingSpecInvalidError } from "../spec/training-spec-invalid-error.ts";
import type { Training } from "./training.ts";

/** Checks a spec wholly, writes the record of its run and puts it in the queue. */
export const startRun =
  ({
    ledger,
    queue,
    features,
    location,
    allowCommandTrainer,
    now,
  }: Training): Unary<typeof TrainingService.method.startRun> =>
  async (request, call) => {
    const { spec, idempotencyKey, requestedBy, codeRevision } = request;
    if (spec === undefined) {
      throw new TrainingSpecInvalidError([{ field: "spec", expected: "a training spec", got: "none" }]);
    }
    if (spec.trainer?.trainer.case === "command" && !allowCommandTrainer) {
      throw new CommandTrainerForbiddenError();
    }
    refuse(checkSpec(spec));
    refuse(await checkFeatures(spec, features, location, call.signal));
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

/** Thrown by StartRun where a spec names a program and the service's settings let it run none. */
class CommandTrainerForbiddenError extends MillraceError {
  constructor() {
    super(
      "PERMISSION_DENIED",
      Reason.PERMISSION_DENIED,
      "spec.trainer.command: this service runs no programs. Whoever operates it allows them with MILLRACE_ALLOW_COMMAND_TRAINER=true.",
    );
  }
}

const refuse = (violations: ReturnType<typeof checkSpec>): void => {
  if (violations.length > 0) {
    throw new TrainingSpecInvalidError(violations);
  }
};
