import { toJsonString } from "@bufbuild/protobuf";
import {
  PredictionLog_Acknowledge as Acknowledge,
  type Deployment,
  type DeploymentDeclaration,
  DeploymentDeclarationSchema,
  FeaturePolicy_OnMissing as OnMissing,
  PipelineSchema,
} from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import { RequestInvalidError, validateRequest } from "@millrace/grpc";
import { deployedPipeline, pipelineCycles } from "../pipeline/deployed-pipeline.ts";
import type { PipelinePlan } from "../pipeline/pipeline-plan.ts";
import type { ServingOptions } from "../serving/load-version.ts";
import { defaultPolicy, type PredictPolicy } from "../serving/servable.ts";
import { DeclarationInvalidError } from "./declaration-invalid-error.ts";
import { durationMs } from "./duration.ts";

/** One deployment with its defaults filled in. */
export interface DeploymentPlan {
  readonly model: string;
  /** A decimal integer. */
  readonly version: string;
  /** The package reference as it was declared. */
  readonly reference: string;
  readonly options: ServingOptions;
  readonly policy: PredictPolicy;
  readonly maxMessageBytes: number | undefined;
  /** The pipeline that serves in place of a package. */
  readonly pipeline: PipelinePlan | undefined;
  /** Equal for deployments that run alike: a change of it is put in force by a swap. */
  readonly key: string;
  /** Path in the declaration, for findings. */
  readonly field: string;
}

/**
 * Checks a declaration and fills in the service's defaults.
 * @throws DeclarationInvalidError with every violation: of the contract, a name twice, and what is declared but not done
 *   here yet (several versions behind one name, shadows, headers): it is refused rather than ignored.
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
  const plans: DeploymentPlan[] = [];
  for (const [index, deployment] of declaration.deployments.entries()) {
    const field = `deployments[${index}]`;
    if (names.has(deployment.model)) {
      violations.push({
        field: `${field}.model`,
        expected: "a name that no other deployment has",
        got: deployment.model,
      });
    }
    names.add(deployment.model);
    violations.push(...notDone(deployment, field));
    try {
      plans.push(planOf(deployment, field, defaults, violations));
    } catch (error) {
      if (!(error instanceof DeclarationInvalidError)) throw error;
      violations.push(...(error.details.violations ?? []));
    }
  }
  violations.push(...pipelineCycles(plans.flatMap(({ pipeline }) => pipeline ?? [])));
  if (violations.length > 0) throw new DeclarationInvalidError(violations);
  return plans;
};

const notYet = ["sticky", "responseCache", "payloadLog", "signature"] as const;

const notDone = (deployment: Deployment, field: string): FieldViolation[] => {
  const { versions, pipeline } = deployment;
  const violations: FieldViolation[] = [];
  if (versions.length === 0 && pipeline === undefined)
    violations.push({ field: `${field}.versions`, expected: "one version", got: "none" });
  for (const name of notYet) {
    if (deployment[name] !== undefined) {
      violations.push({ field: `${field}.${name}`, expected: "nothing: it is not served yet", got: "a declaration" });
    }
  }
  if (versions.length > 1) {
    violations.push({
      field: `${field}.versions`,
      expected: "one version: traffic is not split yet",
      got: `${versions.length} versions`,
    });
  }
  for (const [index, { shadow, header }] of versions.entries()) {
    const version = `${field}.versions[${index}]`;
    if (shadow) violations.push({ field: `${version}.shadow`, expected: "no shadow: there are none yet", got: "true" });
    if (header !== "") {
      violations.push({ field: `${version}.header`, expected: "no header: traffic is not split yet", got: header });
    }
  }
  return violations;
};

const planOf = (
  deployment: Deployment,
  field: string,
  defaults: ServingOptions,
  violations: FieldViolation[],
): DeploymentPlan => {
  const { model, versions, batching, limits, predictionLog, features, instances } = deployment;
  const [version] = versions;
  const options: ServingOptions = {
    maxBatchSize: batching?.maxBatchSize || defaults.maxBatchSize,
    maxQueueDelayMs: durationOr(`${field}.batching.max_queue_delay`, batching?.maxQueueDelay, defaults.maxQueueDelayMs),
    maxQueueSize: batching?.maxQueueSize || defaults.maxQueueSize,
    maxRunTimeMs: durationOr(`${field}.limits.max_run_time`, limits?.maxRunTime, defaults.maxRunTimeMs),
    instances: instances || defaults.instances,
    intraOpThreads: defaults.intraOpThreads,
  };
  const policy: PredictPolicy = {
    onMissing: features?.onMissing === OnMissing.REFUSE ? "REFUSE" : defaultPolicy.onMissing,
    deadlineShare: features?.deadlineShare || defaultPolicy.deadlineShare,
    sampling: predictionLog?.sampling ?? defaultPolicy.sampling,
    acknowledge:
      predictionLog?.acknowledge === Acknowledge.BEFORE_RESPONSE ? "BEFORE_RESPONSE" : defaultPolicy.acknowledge,
  };
  const pipeline = deployedPipeline(deployment, field, violations);
  const plan = {
    model,
    version: pipeline?.version ?? String(version?.version ?? 1n),
    reference: pipeline === undefined ? (version?.package ?? "") : "a pipeline",
    options,
    policy,
    maxMessageBytes: limits?.maxMessageBytes ? Number(limits.maxMessageBytes) : undefined,
  };
  const declared = deployment.pipeline === undefined ? "" : toJsonString(PipelineSchema, deployment.pipeline);
  return { ...plan, pipeline, field, key: JSON.stringify({ ...plan, declared }) };
};

const durationOr = (field: string, text: string | undefined, defaultMs: number): number =>
  text === undefined || text === "" ? defaultMs : durationMs(field, text);
