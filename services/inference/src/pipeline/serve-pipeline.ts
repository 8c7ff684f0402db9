import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { MillraceError } from "@millrace/errors";
import type { ModelRoster, VersionRecord } from "../serving/model-roster.ts";
import type { PredictPolicy } from "../serving/servable.ts";
import { StepNotReadyError } from "./pipeline-errors.ts";
import type { PipelinePlan } from "./pipeline-plan.ts";
import { PipelineServable } from "./pipeline-servable.ts";

export interface PipelineToServe {
  readonly plan: PipelinePlan;
  readonly policy: PredictPolicy;
  readonly maxMessageBytes: number | undefined;
}

export interface PipelineObserver {
  /** Called each time that it begins to take calls. */
  onServes(): void;
  /** Called for each reason that it cannot. */
  onFailed(error: MillraceError): void;
}

/**
 * Puts a pipeline in force, in place of what its name had before, as soon as its models are there and fit together; then
 * keeps its status true for as long as it serves: READY, or why it takes no calls.
 *
 * @param record what the status tells of it. @returns when it serves for the first time, or the signal is aborted.
 */
export const servePipeline = async (
  roster: ModelRoster,
  { plan, policy, maxMessageBytes }: PipelineToServe,
  record: VersionRecord,
  observer: PipelineObserver,
  signal?: AbortSignal,
): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let isFirst = true;
  const serve = (own: VersionRecord): PipelineServable => {
    let inForce = false;
    const onChange = () => {
      if (signal?.aborted === true && !inForce) return;
      const { error } = served;
      if (error !== undefined) {
        const state = isLoading(roster, error) ? State.LOADING : State.FAILED;
        roster.update(own, state, error);
        if (state === State.FAILED) observer.onFailed(error);
        return;
      }
      if (inForce) {
        roster.update(own, State.READY);
      } else {
        inForce = true;
        isFirst = false;
        // What it replaces drains in its own time.
        Promise.all([roster.serve(plan.name, own, served), roster.retain(plan.name, [plan.version])]).catch(reject);
        resolve();
      }
      observer.onServes();
    };
    const onOutgrown = () => {
      serve(roster.begin(plan.name, plan.version, own.reference));
    };
    const served = new PipelineServable({ plan, roster, policy, maxMessageBytes, onChange, onOutgrown });
    onChange();
    return served;
  };
  signal?.addEventListener("abort", () => resolve(), { once: true });
  const served = serve(record);
  await promise;
  if (isFirst) await served.retire();
};

const isLoading = (roster: ModelRoster, error: MillraceError): boolean =>
  error instanceof StepNotReadyError &&
  roster.records(error.model).some(({ state }) => state === State.LOADING || state === State.CHECKING);
