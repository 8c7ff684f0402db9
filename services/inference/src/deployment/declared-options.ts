import type { Deployment } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import type { ServingOptions } from "../serving/load-version.ts";
import { DeclarationInvalidError } from "./declaration-invalid-error.ts";
import { durationMs } from "./duration.ts";

/**
 * How the versions of a deployment run, with the service's defaults filled in.
 * @param field path of the deployment. @param violations is added to, for every rule that is broken.
 */
export const declaredOptions = (
  { batching, limits, instances }: Deployment,
  field: string,
  defaults: ServingOptions,
  violations: FieldViolation[],
): ServingOptions => {
  const duration = (name: string, text: string | undefined, defaultMs: number): number => {
    if (text === undefined || text === "") return defaultMs;
    try {
      return durationMs(`${field}.${name}`, text);
    } catch (error) {
      if (!(error instanceof DeclarationInvalidError)) throw error;
      violations.push(...(error.details.violations ?? []));
      return defaultMs;
    }
  };
  return {
    maxBatchSize: batching?.maxBatchSize || defaults.maxBatchSize,
    maxQueueDelayMs: duration("batching.max_queue_delay", batching?.maxQueueDelay, defaults.maxQueueDelayMs),
    maxQueueSize: batching?.maxQueueSize || defaults.maxQueueSize,
    maxRunTimeMs: duration("limits.max_run_time", limits?.maxRunTime, defaults.maxRunTimeMs),
    instances: instances || defaults.instances,
    intraOpThreads: defaults.intraOpThreads,
  };
};
