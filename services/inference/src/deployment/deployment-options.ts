import { toJsonString } from "@bufbuild/protobuf";
import {
  type Deployment,
  type DeploymentDeclaration,
  DeploymentDeclarationSchema,
  PipelineSchema,
} from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import { RequestInvalidError, validateRequest } from "@millrace/grpc";
import { deployedPipeline, pipelineCycles } from "../pipeline/deployed-pipeline.ts";
import type { PipelinePlan } from "../pipeline/pipeline-plan.ts";
import type { ServingOptions } from "../serving/load-version.ts";
import type { PredictPolicy } from "../serving/servable.ts";
import type { TrafficRules } from "../serving/traffic-rules.ts";
import { DeclarationInvalidError } from "./declaration-invalid-error.ts";
import { declaredOptions } from "./declared-options.ts";
import { declaredPolicy } from "./declared-policy.ts";
import { declaredKeys } from "./declared-signature.ts";
import { declaredTraffic } from "./declared-traffic.ts";

/** A version that is to be loaded. */
export interface VersionPlan {
  /** A decimal integer. */
  readonly version: string;
  /** The package reference as it was declared. */
  readonly reference: string;
  readonly options: ServingOptions;
  /** Files of the keys one of which must have signed the package; none where no signature is demanded. */
  readonly trustedKeys: readonly string[];
  /** Equal for plans that one load serves. What is not in it is put in force without a load. */
  readonly loadKey: string;
  /** Path in the declaration, for findings. */
  readonly field: string;
}

/** One deployment with its defaults filled in. */
export interface DeploymentPlan {
  readonly model: string;
  /** None where a pipeline serves. */
  readonly versions: readonly VersionPlan[];
  readonly rules: TrafficRules;
  readonly policy: PredictPolicy;
  readonly maxMessageBytes: number | undefined;
  readonly maxRunTimeMs: number;
  /** The pipeline that serves in place of versions. */
  readonly pipeline: PipelinePlan | undefined;
  /** Equal for pipelines that run alike. */
  readonly pipelineKey: string;
  /** Path in the declaration, for findings. */
  readonly field: string;
}

/**
 * Checks a declaration and fills in the service's defaults.
 * @throws DeclarationInvalidError with every violation: of the contract, and a name twice.
 */
export const planDeployments = (declaration: DeploymentDeclaration, defaults: ServingOptions): DeploymentPlan[] => {
  const violations: FieldViolation[] = [];
  try {
    validateRequest(DeploymentDeclarationSchema, declaration);
  } catch (error) {
    if (!(error instanceof RequestInvalidError)) throw error;
    violations.push(...(error.details.violations ?? []));
  }
  const names = new Set<string>();
  const plans = declaration.deployments.map((deployment, index) => {
    const field = `deployments[${index}]`;
    if (names.has(deployment.model)) {
      const expected = "a name that no other deployment has";
      violations.push({ field: `${field}.model`, expected, got: deployment.model });
    }
    names.add(deployment.model);
    return planOf(deployment, field, defaults, violations);
  });
  violations.push(...pipelineCycles(plans.flatMap(({ pipeline }) => pipeline ?? [])));
  if (violations.length > 0) throw new DeclarationInvalidError(violations);
  return plans;
};

const planOf = (
  deployment: Deployment,
  field: string,
  defaults: ServingOptions,
  violations: FieldViolation[],
): DeploymentPlan => {
  const { model, limits } = deployment;
  if (deployment.versions.length === 0 && deployment.pipeline === undefined) {
    violations.push({ field: `${field}.versions`, expected: "at least one version, or a pipeline", got: "none" });
  }
  const options = declaredOptions(deployment, field, defaults, violations);
  const trustedKeys = declaredKeys(deployment, field, violations);
  const versions = deployment.versions.map((declared, index): VersionPlan => {
    const plan = { version: String(declared.version), reference: declared.package, options, trustedKeys };
    const loaded = { ...plan, options: { ...options, maxRunTimeMs: undefined, shared: undefined } };
    return { ...plan, loadKey: JSON.stringify(loaded), field: `${field}.versions[${index}]` };
  });
  const policy = declaredPolicy(deployment, field, violations);
  const maxMessageBytes = limits?.maxMessageBytes ? Number(limits.maxMessageBytes) : undefined;
  return {
    model,
    versions,
    rules: declaredTraffic(deployment, field, violations),
    policy,
    maxMessageBytes,
    maxRunTimeMs: options.maxRunTimeMs,
    pipeline: deployedPipeline(deployment, field, violations),
    pipelineKey:
      deployment.pipeline === undefined
        ? ""
        : JSON.stringify([toJsonString(PipelineSchema, deployment.pipeline), policy, maxMessageBytes]),
    field,
  };
};
