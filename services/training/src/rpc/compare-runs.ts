import type { TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import type { Unary } from "@millrace/grpc";
import type { Training } from "./training.ts";

/** Answers several runs, in the order in which they were asked for. */
export const compareRuns =
  ({ ledger }: Training): Unary<typeof TrainingService.method.compareRuns> =>
  async ({ ids }) => ({ runs: await Promise.all(ids.map((id) => ledger.get(id))) });
