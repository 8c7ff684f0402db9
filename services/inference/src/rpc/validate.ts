import type { DeploymentService } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { MillraceError } from "@millrace/errors";
import type { Unary } from "@millrace/grpc";
import { checkedPackage, type PackageSources } from "../deployment/check-package.ts";
import { DeclarationInvalidError } from "../deployment/declaration-invalid-error.ts";
import { type DeploymentPlan, planDeployments, type VersionPlan } from "../deployment/deployment-options.ts";
import { unknownModels } from "../pipeline/deployed-pipeline.ts";
import type { PipelinePlan } from "../pipeline/pipeline-plan.ts";
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
    const known = new Set([...plans.map(({ model }) => model), ...roster.names()]);
    const findings = await Promise.all([
      ...plans.flatMap(({ pipeline }) => pipeline ?? []).map((pipeline) => modelFindings(pipeline, known)),
      ...plans.flatMap(({ versions }) => versions).map((version) => packageFindings(sources, version, call.signal)),
    ]);
    return { findings: findings.flat() };
  };

const modelFindings = (pipeline: PipelinePlan, known: ReadonlySet<string>) =>
  unknownModels(pipeline, known).map(({ field, expected, got }) => ({
    field,
    reason: "MODEL_UNKNOWN",
    message: `expected ${expected}, got ${got}`,
  }));

const packageFindings = async (sources: PackageSources, version: VersionPlan, signal: AbortSignal) => {
  try {
    await checkedPackage(sources, version, signal);
    return [];
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    return [{ field: `${version.field}.package`, reason: error.reasonName, message: error.message }];
  }
};
