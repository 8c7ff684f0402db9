import { FeatureServiceUnknownError } from "@millrace/feature-definition";
import type { AppliedDefinitions, LoadedDefinitions } from "../applied-definitions.ts";
import { FeatureServiceVersionUnknownError, NothingAppliedError } from "../catalogue.ts";

/**
 * The definitions that hold for a version of a feature service; of no version, the applied ones.
 * @throws FeatureServiceUnknownError, FeatureServiceVersionUnknownError
 */
export function definitionsOfVersion(
  { applied, repository, kept }: AppliedDefinitions,
  service: string,
  version: string,
): LoadedDefinitions {
  if (applied.repository === undefined) throw new NothingAppliedError();
  const inForce = repository.services.get(service);
  if (version === "" || inForce?.version === version) return { declared: applied.repository, compiled: repository };
  const found = kept.get(`${service}@${version}`);
  if (found !== undefined) return found;
  const older = [...kept.values()].filter((one) => one.service === service).map((one) => one.version);
  const known = inForce === undefined ? older : [inForce.version, ...older];
  if (known.length === 0) throw new FeatureServiceUnknownError(service, [...repository.services.keys()]);
  throw new FeatureServiceVersionUnknownError(service, version, known);
}
