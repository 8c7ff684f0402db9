import type { TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import type { ServerStreaming } from "@millrace/grpc";
import type { Training } from "./training.ts";

/** Sends the run as it is, then after each change, until it is over. */
export const watchRun = ({ ledger }: Training): ServerStreaming<typeof TrainingService.method.watchRun> =>
  async function* ({ id }, call) {
    for await (const run of ledger.watch(id, call.signal)) {
      yield { run };
    }
  };
