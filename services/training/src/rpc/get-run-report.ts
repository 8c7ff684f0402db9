import type { TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import type { Unary } from "@millrace/grpc";
import { comparisonPage } from "../report/comparison-page.ts";
import { runPage } from "../report/run-page.ts";
import type { Training } from "./training.ts";

/** The page of a run, or of several beside each other. @throws RunUnknownError */
export const getRunReport =
  ({ ledger }: Training): Unary<typeof TrainingService.method.getRunReport> =>
  async ({ ids }) => {
    const [first, ...others] = await Promise.all([...new Set(ids)].map((id) => ledger.get(id)));
    if (first === undefined) throw new TypeError("The contract lets no request without an id through.");
    const content = others.length === 0 ? await runPage(first) : await comparisonPage([first, ...others]);
    return { content, mediaType: "text/html; charset=utf-8" };
  };
