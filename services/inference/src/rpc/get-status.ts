import type { DeploymentService } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { Unary } from "@millrace/grpc";
import { declarationStatus, deploymentStatuses } from "../deployment/deployment-statuses.ts";
import type { ModelRoster } from "../serving/model-roster.ts";

/** Says what is served, and what is not and why. */
export const getStatus =
  (roster: ModelRoster): Unary<typeof DeploymentService.method.getStatus> =>
  async ({ model }) => {
    const declaration = declarationStatus(roster);
    return { deployments: deploymentStatuses(roster, model), ...(declaration === undefined ? {} : { declaration }) };
  };
