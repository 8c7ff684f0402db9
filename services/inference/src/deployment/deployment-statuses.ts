import type { ModelRoster, VersionRecord } from "../serving/model-roster.ts";
import { ModelUnknownError } from "../serving/serving-errors.ts";

/**
 * The status of a deployment, or of all where no name is given: what is in force, and what failed and why.
 * @throws ModelUnknownError
 */
export const deploymentStatuses = (roster: ModelRoster, model: string) => {
  const names = roster.names();
  if (model !== "" && !names.includes(model)) throw new ModelUnknownError(model, "", names);
  return (model === "" ? names : [model]).map((name) => ({
    model: name,
    declarationHash: roster.declarationHash(name),
    versions: roster.records(name).map((record) => versionStatus(record, roster.share(name, record))),
  }));
};

const versionStatus = (record: VersionRecord, weight: number) => {
  const { version, reference, digest, signedBy, state, reason, message, sinceMs, served } = record;
  return {
    version: BigInt(version),
    package: reference,
    digest,
    state,
    reason,
    message,
    weight,
    since: { seconds: BigInt(Math.floor(sinceMs / 1000)), nanos: (sinceMs % 1000) * 1_000_000 },
    executionProvider:
      served === undefined ? "" : `${served.executionProvider.name}: ${served.executionProvider.reason}`,
    instances: served?.instanceCount ?? 0,
    memoryBytes: BigInt(served?.memoryBytes ?? 0),
    goldenExamples: served?.goldenExamples ?? 0,
    signedBy,
  };
};
