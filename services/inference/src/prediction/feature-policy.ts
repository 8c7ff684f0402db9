import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { FeatureInput } from "@millrace/contracts/millrace/model/v1/model_package";

/** What becomes of a value that is not there: null, which the graph imputes; an error; or the declared default. */
export type FeatureAction = "IMPUTE" | "REFUSE" | "DEFAULT";

/** Why a value is not there: there is no row, the row is older than its view's ttl, or feature-serving is away. */
export type FeatureGap = "MISSING" | "STALE" | "UNAVAILABLE";

/** A default as it was declared. */
export type DeclaredDefault = boolean | number | string;

/** What a deployment says otherwise of one feature, or of all features of one view. */
export interface FeatureOverride {
  readonly onMissing?: FeatureAction | undefined;
  readonly onStale?: FeatureAction | undefined;
  readonly onUnavailable?: FeatureAction | undefined;
  readonly default?: DeclaredDefault | undefined;
}

/** What a deployment says of values that are not there. */
export interface FeaturePolicy {
  readonly onMissing: FeatureAction;
  /** Undefined: as where it is missing. */
  readonly onStale: FeatureAction | undefined;
  readonly onUnavailable: FeatureAction;
  /** By feature (`view__feature`) or by view; a feature's own comes first. */
  readonly overrides: Readonly<Record<string, FeatureOverride>>;
}

export const defaultFeaturePolicy: FeaturePolicy = {
  onMissing: "IMPUTE",
  onStale: undefined,
  onUnavailable: "REFUSE",
  overrides: {},
};

/** A default in the type of its feature: whole numbers and times are bigint. */
export type TypedDefault = boolean | number | bigint | string;

/** What holds for one feature. */
export interface FeatureRule {
  readonly actions: Readonly<Record<FeatureGap, FeatureAction>>;
  readonly default: TypedDefault | undefined;
}

/** The view of a feature, by the package or by its name; empty for a column of the request. */
export const featureViewOf = ({ feature, featureView }: Pick<FeatureInput, "feature" | "featureView">): string =>
  featureView === "" ? feature.slice(0, Math.max(0, feature.indexOf("__"))) : featureView;

/** What holds for a feature: its own override, else its view's, else the deployment's word. */
export const featureRule = (policy: FeaturePolicy, binding: FeatureInput): FeatureRule => {
  const own = overrideOf(policy, binding.feature);
  const view = overrideOf(policy, featureViewOf(binding));
  const onMissing = own?.onMissing ?? view?.onMissing ?? policy.onMissing;
  const declared = own?.default ?? view?.default;
  return {
    actions: {
      MISSING: onMissing,
      STALE: own?.onStale ?? view?.onStale ?? policy.onStale ?? onMissing,
      UNAVAILABLE: own?.onUnavailable ?? view?.onUnavailable ?? policy.onUnavailable,
    },
    default: declared === undefined ? undefined : typedDefault(declared, binding.type),
  };
};

const overrideOf = ({ overrides }: FeaturePolicy, name: string): FeatureOverride | undefined =>
  Object.hasOwn(overrides, name) ? overrides[name] : undefined;

/** The name of a type, as declarations have it. */
export const typeName = (type: ValueType): string =>
  Object.entries(ValueType).find(([, value]) => value === type)?.[0] ?? String(type);

/** What a default of a type looks like, for a person; undefined for types that no input of a graph takes. */
export const expectedDefault = (type: ValueType): string | undefined => {
  switch (type) {
    case ValueType.BOOL:
      return "true or false";
    case ValueType.INT64:
      return "a whole number of 64 bits";
    case ValueType.DOUBLE:
    case ValueType.FLOAT:
      return "a number";
    case ValueType.STRING:
      return "a text";
    case ValueType.TIMESTAMP:
      return "a time such as 2001-01-01T00:00:00Z, or whole microseconds since 1970";
    default:
      return undefined;
  }
};

/** A declared default in its feature's type; undefined where it does not fit. Whole numbers may be texts, as in JSON of 64 bits. */
export const typedDefault = (declared: DeclaredDefault, type: ValueType): TypedDefault | undefined => {
  switch (type) {
    case ValueType.BOOL:
      return typeof declared === "boolean" ? declared : undefined;
    case ValueType.INT64:
      return wholeNumber(declared);
    case ValueType.DOUBLE:
    case ValueType.FLOAT:
      return typeof declared === "number" && Number.isFinite(declared) ? declared : undefined;
    case ValueType.STRING:
      return typeof declared === "string" ? declared : undefined;
    case ValueType.TIMESTAMP:
      return typeof declared === "string" && isoTime.test(declared) && !Number.isNaN(Date.parse(declared))
        ? BigInt(Date.parse(declared)) * 1000n
        : wholeNumber(declared);
    default:
      return undefined;
  }
};

const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;

const wholeNumber = (declared: DeclaredDefault): bigint | undefined => {
  const isWhole = typeof declared === "number" ? Number.isSafeInteger(declared) : /^-?\d{1,19}$/.test(String(declared));
  if (!isWhole || typeof declared === "boolean") return undefined;
  const number = BigInt(declared);
  return BigInt.asIntN(64, number) === number ? number : undefined;
};
