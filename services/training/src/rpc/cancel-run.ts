import type { TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import type { Unary } from "@millrace/grpc";
import type { Training } from "./training.ts";

/** Cancels a run that waits or is under way, and answers once it is over. */
export const cancelRun =
  ({ queue }: Training): Unary<typeof TrainingService.method.cancelRun> =>
  async ({ id }) => ({ run: await queue.cancel(id) });
