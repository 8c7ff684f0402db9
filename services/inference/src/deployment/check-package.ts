import { checkSchema, type ModelPackageReader, type ModelStore, type ResolvedPackage } from "@millrace/model-package";
import { type FeaturePolicy, featureRule } from "../prediction/feature-policy.ts";
import type { FeatureReader } from "../prediction/feature-reader.ts";
import { FeaturesUnavailableError, NoFeaturesError } from "../prediction/predict-errors.ts";
import { readTrustedKeys } from "./read-trusted-keys.ts";

/** Where packages come from, and who serves the features that they read. */
export interface PackageSources {
  readonly store: ModelStore;
  /** Undefined where no feature-serving was named. */
  readonly features: FeatureReader | undefined;
  /** The declaration's folder, which trusted keys lie in; undefined where there is no declaration. */
  readonly keysFolder: string | undefined;
}

export interface CheckedPackage {
  readonly reader: ModelPackageReader;
  /** The file of the key that signed it; empty where no signature was demanded. */
  readonly signedBy: string;
  /** Whether feature-serving could not be asked for its features; `checkFeatures` is to be tried again. */
  readonly unchecked: boolean;
}

/**
 * Finds a package by its reference, verified: its digests, its signature where one is demanded, and that feature-serving
 * has the features that it reads. The keys are read anew each time.
 * @param trustedKeys files of public keys; none where no signature is demanded.
 * @param policy with one that does without all features of the package, a feature-serving that does not answer is no
 *   error: a version has to come back after a restart as it would have gone on without one.
 * @throws PackageUnknownError, PackageCorruptError, SignatureInvalidError, KeyFileUnusableError,
 *   SchemaMismatchError (naming each feature), FeaturesUnavailableError, and what feature-serving says of a feature
 *   service that it does not know.
 */
export const checkedPackage = async (
  { store, features, keysFolder }: PackageSources,
  { reference, trustedKeys }: { readonly reference: string; readonly trustedKeys: readonly string[] },
  policy: FeaturePolicy,
  signal?: AbortSignal,
): Promise<CheckedPackage> => {
  let pinned = reference;
  let signedBy = "";
  if (trustedKeys.length > 0) {
    const keys = await readTrustedKeys(keysFolder, trustedKeys);
    const resolved: ResolvedPackage = await store.resolve(reference, signal);
    signedBy = (await store.verifySignature(resolved, keys, signal)).keyName;
    // What was verified is what is pulled, also where the tag moves meanwhile.
    pinned = `${resolved.repository}@${resolved.digest}`;
  }
  const reader = await store.pull(pinned, [], signal);
  const unchecked = await checkFeatures(reader, features, signal).then(
    () => false,
    (error: unknown) => {
      if (error instanceof FeaturesUnavailableError && doesWithout(reader, policy)) return true;
      throw error;
    },
  );
  // Last: what is large is not fetched for a package that cannot serve.
  await Promise.all([reader.model(signal), reader.golden(signal)]);
  return { reader, signedBy, unchecked };
};

/** Whether calls are answered where feature-serving is away. */
const doesWithout = ({ manifest }: ModelPackageReader, policy: FeaturePolicy): boolean =>
  (manifest.features?.inputs ?? []).every((input) => featureRule(policy, input).actions.UNAVAILABLE !== "REFUSE");

/**
 * Checks that feature-serving has the features that a package reads.
 * @throws SchemaMismatchError, FeaturesUnavailableError, NoFeaturesError, and what feature-serving says.
 */
export const checkFeatures = async (
  reader: ModelPackageReader,
  features: FeatureReader | undefined,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const binding = reader.manifest.features;
  if (binding === undefined) return;
  if (features === undefined) {
    throw new NoFeaturesError(reader.manifest.name, "this service has no feature-serving (featureServingAddress).");
  }
  const status = await features.featureService(binding.featureService, binding.featureServiceVersion, signal);
  // Equal hashes mean equal names, types and order; where they differ, the package may still find all that it reads.
  if (status?.schemaHash !== binding.schemaHash || binding.schemaHash === "") {
    // An input may be bound to a column of the request as well.
    checkSchema(binding, [...(status?.features ?? []), ...(status?.requestFields ?? [])]);
  }
};
