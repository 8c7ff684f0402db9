/**
 * The model package: an OCI artifact that carries all that the consumers of a model need.
 *
 *     const store = await openModelStore("oci:./models");
 *     const { digest } = await store.push("flight_delay", { manifest, model, baseline, golden, card }, ["candidate"]);
 *     const pulled = await store.pull(`flight_delay@${digest}`);
 *     console.log(pulled.manifest.name, (await pulled.model()).byteLength);
 *     await store.close();
 */
export { checkSchema, type ServedField } from "./check-schema.ts";
export { type Digest, digestOf, isDigest } from "./digest.ts";
export { type BaseImage, type BasePlatform, readBaseImage } from "./image/base-image.ts";
export { FolderUnusableError } from "./layout/folder-unusable-error.ts";
export { ModelStore, type PushedImage, type SignedPackage, type TaggedPackage } from "./model-store.ts";
export { type ModelStoreOptions, openModelStore } from "./open-model-store.ts";
export type { PackageContent, PackagePart } from "./package-content.ts";
export { PackageContentInvalidError } from "./package-content-invalid-error.ts";
export { PackageCorruptError } from "./package-corrupt-error.ts";
export { PackageMalformedError } from "./package-malformed-error.ts";
export type { ModelPackageReader, PackagedFile, ResolvedPackage } from "./package-reader.ts";
export { type PackageReference, parsePackageReference } from "./package-reference.ts";
export { PackageTooLargeError } from "./package-too-large-error.ts";
export { PackageUnknownError } from "./package-unknown-error.ts";
export type { PromotionOrder } from "./promotion/promote.ts";
export type { Promotion, PromotionGate } from "./promotion/promotion.ts";
export { PromotionRefusedError } from "./promotion/promotion-refused-error.ts";
export { ReferenceInvalidError } from "./reference-invalid-error.ts";
export { RegistryUnavailableError } from "./registry-unavailable-error.ts";
export { SchemaMismatchError } from "./schema-mismatch-error.ts";
export { SignatureInvalidError } from "./signing/signature-invalid-error.ts";
export { generateSigningKey, type PackageSigner, signerFromPem } from "./signing/signing-key.ts";
export { SigningKeyInvalidError } from "./signing/signing-key-invalid-error.ts";
export type { TrustedKey } from "./signing/trusted-key.ts";
export type { VerifiedSignature } from "./signing/verify-signature.ts";
export { StoreUrlInvalidError } from "./store-url-invalid-error.ts";
export type { Transfer, TransferObserver } from "./transfer.ts";
