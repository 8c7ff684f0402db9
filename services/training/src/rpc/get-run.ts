import type { TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import type { Unary } from "@millrace/grpc";
import type { Training } from "./training.ts";

/** Answers one run, with its progress where it is under way. */
export const getRun =
  ({ ledger }: Training): Unary<typeof TrainingService.method.getRun> =>
  async ({ id }) => ({ run: await ledger.get(id) });
