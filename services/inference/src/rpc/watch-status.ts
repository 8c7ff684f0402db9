import type { DeploymentService } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { ServerStreaming } from "@millrace/grpc";
import { declarationStatus, deploymentStatuses } from "../deployment/deployment-statuses.ts";
import type { ModelRoster } from "../serving/model-roster.ts";

/** Sends the status as it is, then after each change; changes that come while one is being sent are sent as one. */
export const watchStatus = (roster: ModelRoster): ServerStreaming<typeof DeploymentService.method.watchStatus> =>
  async function* ({ model }, call) {
    let changed = true;
    let wake = () => {};
    const onChange = () => {
      changed = true;
      wake();
    };
    const unwatch = roster.watch(onChange);
    call.signal.addEventListener("abort", onChange, { once: true });
    call.draining.addEventListener("abort", onChange, { once: true });
    try {
      while (!call.signal.aborted && !call.draining.aborted) {
        if (changed) {
          changed = false;
          const declaration = declarationStatus(roster);
          yield {
            deployments: model !== "" && !roster.names().includes(model) ? [] : deploymentStatuses(roster, model),
            ...(declaration === undefined ? {} : { declaration }),
          };
          continue;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      unwatch();
    }
  };
