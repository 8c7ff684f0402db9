import type { TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import type { Unary } from "@millrace/grpc";
import type { Training } from "./training.ts";

const defaultPageSize = 50;

/** Answers runs, the newest first. The page token is the last run's id: ids sort by time. */
export const listRuns =
  ({ ledger }: Training): Unary<typeof TrainingService.method.listRuns> =>
  async ({ name, pageSize, pageToken }) => {
    const matching = (await ledger.all()).filter(
      (run) => (name === "" || run.spec?.name === name) && (pageToken === "" || run.id < pageToken),
    );
    const runs = matching.slice(0, pageSize || defaultPageSize);
    return { runs, nextPageToken: runs.length < matching.length ? (runs.at(-1)?.id ?? "") : "" };
  };
