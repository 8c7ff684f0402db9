import { checkSchema, type ModelPackageReader, type ModelStore } from "@millrace/model-package";
import type { FeatureReader } from "../prediction/feature-reader.ts";
import { NoFeaturesError } from "../prediction/predict-errors.ts";

/** Where packages come from, and who serves the features that they read. */
export interface PackageSources {
  readonly store: ModelStore;
  /** Undefined where no feature-serving was named. */
  readonly features: FeatureReader | undefined;
}

/**
 * Finds a package by its reference, verified, and checks that feature-serving has the features that it reads.
 * @throws PackageUnknownError, PackageCorruptError, SchemaMismatchError (naming each feature), FeaturesUnavailableError,
 *   and what feature-serving says of a feature service that it does not know.
 */
export const checkedPackage = async (
  { store, features }: PackageSources,
  reference: string,
  signal?: AbortSignal,
): Promise<ModelPackageReader> => {
  const reader = await store.pull(reference, ["model", "golden"], signal);
  const binding = reader.manifest.features;
  if (binding === undefined) return reader;
  if (features === undefined) {
    throw new NoFeaturesError(reader.manifest.name, "this service has no feature-serving (featureServingAddress).");
  }
  const status = await features.featureService(binding.featureService, signal);
  // Equal hashes mean equal names, types and order; where they differ, the package may still find all that it reads.
  if (status?.schemaHash !== binding.schemaHash || binding.schemaHash === "") {
    // An input may be bound to a column of the request as well.
    checkSchema(binding, [...(status?.features ?? []), ...(status?.requestFields ?? [])]);
  }
  return reader;
};
