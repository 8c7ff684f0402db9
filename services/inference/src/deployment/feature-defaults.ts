import type { FeatureBinding } from "@millrace/contracts/millrace/model/v1/model_package";
import type { FieldViolation } from "@millrace/errors";
import {
  expectedDefault,
  type FeaturePolicy,
  featureViewOf,
  typedDefault,
  typeName,
} from "../prediction/feature-policy.ts";

/**
 * What of a policy's overrides does not fit the features that packages read: a name that none of them reads, a default
 * that is not of its feature's type.
 * @param bindings of all versions that the policy holds for.
 * @param field path of the deployment.
 */
export const misfitOverrides = (
  { overrides }: FeaturePolicy,
  bindings: readonly FeatureBinding[],
  field: string,
): FieldViolation[] => {
  const features = bindings.flatMap(({ inputs }) => inputs).filter((input) => featureViewOf(input) !== "");
  return Object.entries(overrides).flatMap(([name, { default: declared }]) => {
    const path = `${field}.features.overrides[${name}]`;
    const meant = features.filter((input) => input.feature === name || featureViewOf(input) === name);
    if (meant.length === 0) {
      const names = [...new Set(features.map(({ feature }) => feature))].join(", ");
      return {
        field: path,
        expected: `a feature that the model reads, or its view: ${names || "it reads none"}`,
        got: name,
      };
    }
    if (declared === undefined) return [];
    const misfit = meant.find(({ type }) => typedDefault(declared, type) === undefined);
    if (misfit === undefined) return [];
    const type = typeName(misfit.type);
    const expected = expectedDefault(misfit.type);
    return {
      field: `${path}.default`,
      expected:
        expected === undefined
          ? `none: ${misfit.feature} is ${type}`
          : `${expected}, since ${misfit.feature} is ${type}`,
      got: JSON.stringify(declared),
    };
  });
};
