import type { Deployment } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import type { ServingOptions } from "../serving/load-version.ts";
import { declaredBatching, duration } from "./declared-batching.ts";

/**
 * How the versions of a deployment run, with the service's defaults filled in.
 * @param field path of the deployment. @param violations is added to, for every rule that is broken.
 */
export const declaredOptions = (
  { batching, limits, instances, intraOpThreads }: Deployment,
  field: string,
  defaults: ServingOptions,
  violations: FieldViolation[],
): ServingOptions => ({
  ...declaredBatching(batching, `${field}.batching`, defaults, violations),
  maxRunTimeMs: duration(`${field}.limits.max_run_time`, limits?.maxRunTime, defaults.maxRunTimeMs, violations),
  instances: instances || defaults.instances,
  intraOpThreads: intraOpThreads || defaults.intraOpThreads,
});
