import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
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
    versions: roster.records(name).map((record) => versionStatus(record, roster.active(name) === record)),
  }));
};

const versionStatus = (record: VersionRecord, active: boolean) => {
  const { version, reference, digest, state, reason, message, sinceMs, served } = record;
  return {
    version: BigInt(version),
    package: reference,
    digest,
    state,
    reason,
    message,
    weight: active && state === State.READY ? 1 : 0,
    since: { seconds: BigInt(Math.floor(sinceMs / 1000)), nanos: (sinceMs % 1000) * 1_000_000 },
    executionProvider:
      served === undefined ? "" : `${served.executionProvider.name}: ${served.executionProvider.reason}`,
    instances: served?.lane.instances.length ?? 0,
    memoryBytes: BigInt(served?.memoryBytes ?? 0),
    goldenExamples: served?.goldenExamples ?? 0,
  };
};
