import type { ModelVersionPolicy } from "@millrace/contracts/inference/model_config";

/** The versions that a policy has served, of those that are there. */
export interface ChosenVersions {
  /** Ascending. */
  readonly versions: readonly string[];
  /** Versions that the policy names and that are not there. */
  readonly missing: readonly string[];
}

/** Applies a version policy; the one of Triton where there is none: the highest version. */
export const chooseVersions = (policy: ModelVersionPolicy | undefined, present: readonly string[]): ChosenVersions => {
  const ascending = [...present].sort((a, b) => Number(a) - Number(b));
  switch (policy?.policyChoice.case) {
    case "all":
      return { versions: ascending, missing: [] };
    case "specific": {
      const named = [...new Set(policy.policyChoice.value.versions.map(String))];
      return {
        versions: ascending.filter((version) => named.includes(version)),
        missing: named.filter((version) => !present.includes(version)),
      };
    }
    default:
      return { versions: ascending.slice(-(policy?.policyChoice.value?.numVersions || 1)), missing: [] };
  }
};
