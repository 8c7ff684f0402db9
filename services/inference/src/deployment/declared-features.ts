import {
  type FeaturePolicy as Declared,
  FeaturePolicy_OnMissing as OnMissing,
} from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import {
  type DeclaredDefault,
  defaultFeaturePolicy,
  type FeatureAction,
  type FeatureOverride,
  type FeaturePolicy,
} from "../prediction/feature-policy.ts";

/**
 * What a deployment says of values that are not there.
 * @param field path of the deployment. @param violations is added to, for every rule that is broken.
 */
export const declaredFeatures = (
  features: Declared | undefined,
  field: string,
  violations: FieldViolation[],
): FeaturePolicy => {
  if (features === undefined) return defaultFeaturePolicy;
  const policy: FeaturePolicy = {
    onMissing: action(features.onMissing) ?? defaultFeaturePolicy.onMissing,
    onStale: action(features.onStale),
    onUnavailable: action(features.onUnavailable) ?? defaultFeaturePolicy.onUnavailable,
    overrides: Object.fromEntries(
      Object.entries(features.overrides).map(([name, { onMissing, onStale, onUnavailable, default: value }]) => [
        name,
        {
          onMissing: action(onMissing),
          onStale: action(onStale),
          onUnavailable: action(onUnavailable),
          default: declaredDefault(value?.kind, `${field}.features.overrides[${name}].default`, violations),
        },
      ]),
    ),
  };
  for (const name of Object.keys(policy.overrides)) {
    if (policy.overrides[name]?.default === undefined || usesDefault(policy, name)) continue;
    violations.push({
      field: `${field}.features.overrides[${name}].default`,
      expected: "DEFAULT as one of its actions, so that it is read",
      got: "a default that nothing reads",
    });
  }
  return policy;
};

const action = (declared: OnMissing): FeatureAction | undefined => actions.get(declared);

const actions: ReadonlyMap<OnMissing, FeatureAction> = new Map([
  [OnMissing.IMPUTE, "IMPUTE"],
  [OnMissing.REFUSE, "REFUSE"],
  [OnMissing.DEFAULT, "DEFAULT"],
]);

const declaredDefault = (
  kind: { readonly case?: string | undefined; readonly value?: unknown } | undefined,
  field: string,
  violations: FieldViolation[],
): DeclaredDefault | undefined => {
  const value = kind?.value;
  if (kind === undefined) return undefined;
  if (kind.case === "boolValue" || kind.case === "numberValue" || kind.case === "stringValue") {
    return value as DeclaredDefault;
  }
  violations.push({ field, expected: "a bool, a number or a text", got: words[kind.case ?? ""] ?? "nothing" });
  return undefined;
};

const words: Readonly<Record<string, string>> = { nullValue: "null", listValue: "a list", structValue: "a map" };

/** Whether some action that may hold where the override does is DEFAULT. */
const usesDefault = ({ onMissing, onStale, onUnavailable, overrides }: FeaturePolicy, name: string): boolean => {
  // A feature's override may take the actions of its view, and a view's default the actions of its features.
  const related = Object.entries(overrides).filter(
    ([other]) => other === name || other.startsWith(`${name}__`) || name.startsWith(`${other}__`),
  );
  const own = overrides[name];
  const said = related.flatMap(([, override]) => saidBy(override));
  return (
    said.includes("DEFAULT") ||
    (own?.onMissing === undefined && onMissing === "DEFAULT") ||
    (own?.onStale === undefined && (onStale ?? onMissing) === "DEFAULT") ||
    (own?.onUnavailable === undefined && onUnavailable === "DEFAULT")
  );
};

const saidBy = ({ onMissing, onStale, onUnavailable }: FeatureOverride): (FeatureAction | undefined)[] => [
  onMissing,
  onStale,
  onUnavailable,
];
