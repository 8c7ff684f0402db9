import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { FeatureBinding } from "@millrace/contracts/millrace/model/v1/model_package";
import type { FieldViolation } from "@millrace/errors";
import { SchemaMismatchError } from "./schema-mismatch-error.ts";

/** A field that a feature service serves, as feature-serving describes it. */
export interface ServedField {
  /** `view__feature`. */
  readonly name: string;
  readonly type: ValueType;
}

/**
 * Checks that a feature service has every feature that a package reads, by name and type. More fields than the package
 * reads are no mismatch, nor is another order: inputs are filled by name.
 *
 * @param binding the package's `features`; undefined for a model that takes tensors only, which always fits.
 * @throws SchemaMismatchError with one violation a feature that does not fit.
 */
export const checkSchema = (binding: FeatureBinding | undefined, servedFields: readonly ServedField[]): void => {
  if (binding === undefined) {
    return;
  }
  const served = new Map(servedFields.map(({ name, type }) => [name, type]));
  const violations: FieldViolation[] = [];
  for (const { feature, type } of binding.inputs) {
    const servedType = served.get(feature);
    if (servedType === undefined) {
      violations.push({ field: feature, expected: `a feature of type ${typeName(type)}`, got: "no such feature" });
    } else if (servedType !== type) {
      violations.push({ field: feature, expected: `type ${typeName(type)}`, got: `type ${typeName(servedType)}` });
    }
  }
  if (violations.length > 0) {
    throw new SchemaMismatchError(binding.featureService, violations);
  }
};

const typeNames = new Map<number, string>(Object.entries(ValueType).map(([name, number]) => [number, name]));

const typeName = (type: ValueType): string => typeNames.get(type) ?? String(type);
