import type { DeploymentService } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { MillraceError } from "@millrace/errors";
import type { Unary } from "@millrace/grpc";
import { checkedPackage, type PackageSources } from "../deployment/check-package.ts";
import { DeclarationInvalidError } from "../deployment/declaration-invalid-error.ts";
import { type DeploymentPlan, planDeployments } from "../deployment/deployment-options.ts";
import { unknownModels } from "../pipeline/deployed-pipeline.ts";
import type { ServingOptions } from "../serving/load-version.ts";
import type { ModelRoster } from "../serving/model-roster.ts";

/** Checks a declaration as if it were applied, short of loading the models. Changes nothing. */
export const validate =
  (
    sources: PackageSources,
    defaults: ServingOptions,
    roster: ModelRoster,
  ): Unary<typeof DeploymentService.method.validate> =>
  async ({ declaration }, call) => {
    if (declaration === undefined) return { findings: [] };
    let plans: DeploymentPlan[];
    try {
      plans = planDeployments(declaration, defaults);
    } catch (error) {
      if (!(error instanceof DeclarationInvalidError)) throw error;
      return {
        findings: (error.details.violations ?? []).map(({ field, expected, got }) => ({
          field,
          reason: error.reasonName,
          message: `expected ${expected}, got ${got}`,
        })),
      };
    }
    const findings = await Promise.all(
      plans.map(async ({ field, reference, pipeline }) => {
        if (pipeline !== undefined) {
          const known = new Set([...plans.map(({ model }) => model), ...roster.names()]);
          return unknownModels(pipeline, known).map(({ field: at, expected, got }) => ({
            field: at,
            reason: "MODEL_UNKNOWN",
            message: `expected ${expected}, got ${got}`,
          }));
        }
        try {
          await checkedPackage(sources, reference, call.signal);
          return [];
        } catch (error) {
          if (!(error instanceof MillraceError)) throw error;
          return [{ field: `${field}.versions[0].package`, reason: error.reasonName, message: error.message }];
        }
      }),
    );
    return { findings: findings.flat() };
  };
