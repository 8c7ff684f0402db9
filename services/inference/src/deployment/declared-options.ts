import type { Deployment } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import { executionProviderNames } from "@millrace/tensor";
import type { ServingOptions } from "../serving/load-version.ts";
import { declaredBatching, duration } from "./declared-batching.ts";

/**
 * How the versions of a deployment run, with the service's defaults filled in.
 * @param field path of the deployment. @param violations is added to, for every rule that is broken.
 */
export const declaredOptions = (
  { batching, limits, instances, intraOpThreads, executionProviders, responseCache }: Deployment,
  field: string,
  defaults: ServingOptions,
  violations: FieldViolation[],
): ServingOptions => ({
  ...declaredBatching(batching, `${field}.batching`, defaults, violations),
  ...(batching?.preserveOrdering === true ? { preserveOrdering: true } : {}),
  ...declaredCache(responseCache, `${field}.response_cache`, violations),
  executionProviders: declaredProviders(executionProviders, field, violations) ?? defaults.executionProviders,
  maxRunTimeMs: duration(`${field}.limits.max_run_time`, limits?.maxRunTime, defaults.maxRunTimeMs, violations),
  instances: instances || defaults.instances,
  intraOpThreads: intraOpThreads || defaults.intraOpThreads,
  shared: defaults.shared,
});

const declaredProviders = (
  names: readonly string[],
  field: string,
  violations: FieldViolation[],
): readonly string[] | undefined => {
  const known: readonly string[] = executionProviderNames;
  for (const [index, name] of names.entries()) {
    if (known.includes(name)) continue;
    const expected = `one of ${known.join(", ")}`;
    violations.push({ field: `${field}.execution_providers[${index}]`, expected, got: name });
  }
  return names.length === 0 ? undefined : names;
};

const declaredCache = (
  cache: Deployment["responseCache"],
  field: string,
  violations: FieldViolation[],
): Pick<ServingOptions, "cacheBytes" | "cacheTimeToLiveMs"> => {
  if (cache === undefined || cache.maxBytes === 0n) return {};
  const timeToLiveMs = duration(`${field}.time_to_live`, cache.timeToLive, 0, violations);
  return { cacheBytes: Number(cache.maxBytes), ...(timeToLiveMs === 0 ? {} : { cacheTimeToLiveMs: timeToLiveMs }) };
};
