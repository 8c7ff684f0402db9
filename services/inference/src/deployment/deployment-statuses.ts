import type { ModelRoster, VersionRecord } from "../serving/model-roster.ts";
import { ModelUnknownError } from "../serving/serving-errors.ts";
import type { TrafficRules } from "../serving/traffic-rules.ts";

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
    pendingHash: roster.pending(name)?.hash ?? "",
    message: roster.pending(name)?.message ?? "",
    versions: roster
      .records(name)
      .map((record) => versionStatus(record, roster.share(name, record), roster.rules(name))),
  }));
};

/** What became of the newest declaration; undefined where no file declares what is served. */
export const declarationStatus = ({ newest }: ModelRoster) => {
  if (newest === undefined) return undefined;
  const { hash, message, reason, violations, sinceMs } = newest;
  return {
    hash,
    message,
    findings: violations.map(({ field, expected, got }) => ({
      field,
      reason,
      message: `expected ${expected}, got ${got}`,
    })),
    since: timestamp(sinceMs),
  };
};

const timestamp = (ms: number) => ({ seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 });

const versionStatus = (record: VersionRecord, weight: number, { shadows, headers }: TrafficRules) => {
  const { version, reference, digest, signedBy, state, reason, message, sinceMs, served } = record;
  return {
    version: BigInt(version),
    package: reference,
    digest,
    state,
    reason,
    message,
    weight,
    since: timestamp(sinceMs),
    executionProvider:
      served === undefined ? "" : `${served.executionProvider.name}: ${served.executionProvider.reason}`,
    instances: served?.instanceCount ?? 0,
    memoryBytes: BigInt(served?.memoryBytes ?? 0),
    goldenExamples: served?.goldenExamples ?? 0,
    signedBy,
    shadow: served !== undefined && shadows.includes(version),
    header: served === undefined ? "" : headerText(headers.find((rule) => rule.version === version)),
  };
};

const headerText = (rule: TrafficRules["headers"][number] | undefined): string => {
  if (rule === undefined) return "";
  return rule.value === undefined ? rule.name : `${rule.name}: ${rule.value}`;
};
