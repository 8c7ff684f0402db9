import type { DeploymentService } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { MillraceError } from "@millrace/errors";
import type { Unary } from "@millrace/grpc";
import { checkedPackage, type PackageSources } from "../deployment/check-package.ts";
import { DeclarationInvalidError } from "../deployment/declaration-invalid-error.ts";
import { type DeploymentPlan, planDeployments, type VersionPlan } from "../deployment/deployment-options.ts";
import { misfitOverrides } from "../deployment/feature-defaults.ts";
import { unknownModels } from "../pipeline/deployed-pipeline.ts";
import type { PipelinePlan } from "../pipeline/pipeline-plan.ts";
import { defaultFeaturePolicy } from "../prediction/feature-policy.ts";
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
      ...plans.map((plan) => versionFindings(sources, plan, call.signal)),
    ]);
    return { findings: findings.flat() };
  };

const modelFindings = (pipeline: PipelinePlan, known: ReadonlySet<string>) =>
  unknownModels(pipeline, known).map(({ field, expected, got }) => ({
    field,
    reason: "MODEL_UNKNOWN",
    message: `expected ${expected}, got ${got}`,
  }));

/** What is wrong with the packages of a deployment; where nothing is, what of its policy does not fit what they read. */
const versionFindings = async (
  sources: PackageSources,
  { versions, policy, field }: DeploymentPlan,
  signal: AbortSignal,
) => {
  const checked = await Promise.all(versions.map((version) => checkedBinding(sources, version, signal)));
  const findings = checked.flatMap(({ finding }) => finding ?? []);
  if (findings.length > 0 || versions.length === 0) return findings;
  const bindings = checked.flatMap(({ binding }) => binding ?? []);
  return misfitOverrides(policy.features, bindings, field).map(({ field, expected, got }) => ({
    field,
    reason: "DECLARATION_INVALID",
    message: `expected ${expected}, got ${got}`,
  }));
};

const checkedBinding = async (sources: PackageSources, version: VersionPlan, signal: AbortSignal) => {
  try {
    const { reader } = await checkedPackage(sources, version, defaultFeaturePolicy, signal);
    return { binding: reader.manifest.features, finding: undefined };
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    const finding = { field: `${version.field}.package`, reason: error.reasonName, message: error.message };
    return { binding: undefined, finding };
  }
};
