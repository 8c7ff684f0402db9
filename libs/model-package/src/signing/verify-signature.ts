import { type Bundle, bundleFromJSON, isBundleWithDsseEnvelope, isBundleWithPublicKey } from "@sigstore/bundle";
import { type TrustMaterial, toSignedEntity, VerificationError, Verifier } from "@sigstore/verify";
import type { ArtifactStore } from "../artifact-store.ts";
import type { Descriptor } from "../descriptor.ts";
import type { Digest } from "../digest.ts";
import { mediaTypes } from "../media-types.ts";
import { PackageCorruptError } from "../package-corrupt-error.ts";
import { formatPackageReference } from "../package-reference.ts";
import { PackageTooLargeError } from "../package-too-large-error.ts";
import { parseObject } from "../parse-object.ts";
import { readReferrer } from "../referrer.ts";
import { SignatureInvalidError } from "./signature-invalid-error.ts";
import { digestsOfStatement, statementPayloadType } from "./signed-statement.ts";
import { type ReadTrustedKey, readTrustedKeys, type TrustedKey } from "./trusted-key.ts";

/** Largest manifest of a signature and largest bundle, in bytes: both are a few KiB. */
const signatureLimitBytes = 1024 ** 2;
/** Whoever may push may add signatures; reading all of very many would hold up a deployment. */
const signaturesLimit = 256;
const reasonsShown = 5;

export interface VerifiedSignature {
  /** The name of the trusted key that signed. */
  readonly keyName: string;
  /** The digest of the signature's own manifest. */
  readonly signature: Digest;
}

/**
 * Finds a signature of a manifest by one of the trusted keys. Signatures that are broken or by others are passed over;
 * they count only where no good one is found, as the reasons of the error. A signature's entry in a public log is not
 * looked at: the trust is in the keys alone.
 *
 * @throws SignatureInvalidError where there is none; SigningKeyInvalidError where a trusted key is none.
 */
export const verifySignature = async (
  artifacts: ArtifactStore,
  signed: { readonly repository: string; readonly digest: Digest },
  trustedKeys: readonly TrustedKey[],
  signal?: AbortSignal,
): Promise<VerifiedSignature> => {
  const keys = readTrustedKeys(trustedKeys);
  const { repository, digest } = signed;
  const found = await artifacts.referrers(repository, digest, mediaTypes.sigstoreBundle, signal);
  const reasons: string[] = [];
  for (const referrer of found.slice(0, signaturesLimit)) {
    signal?.throwIfAborted();
    const judged = await judge(artifacts, repository, digest, referrer, keys, signal);
    if ("key" in judged) {
      return { keyName: judged.key.name, signature: referrer.digest };
    }
    reasons.push(`${referrer.digest} ${judged.refused}`);
  }
  throw new SignatureInvalidError(
    formatPackageReference(signed),
    keys.map(({ name }) => name),
    whyNone(reasons, found.length),
  );
};

const whyNone = (reasons: readonly string[], found: number): string => {
  if (found === 0) {
    return "it has no signature";
  }
  const more = reasons.length - reasonsShown;
  return [
    ...reasons.slice(0, reasonsShown),
    ...(more > 0 ? [`${more} more are no better`] : []),
    ...(found > reasons.length
      ? [`${found - reasons.length} beyond the limit of ${signaturesLimit} were not read`]
      : []),
  ].join("; ");
};

type Judged = { readonly key: ReadTrustedKey } | { readonly refused: string };

const judge = async (
  artifacts: ArtifactStore,
  repository: string,
  digest: Digest,
  referrer: Descriptor,
  keys: readonly ReadTrustedKey[],
  signal: AbortSignal | undefined,
): Promise<Judged> => {
  try {
    const bytes = await readReferrer(
      artifacts,
      repository,
      digest,
      referrer.digest,
      mediaTypes.sigstoreBundle,
      signatureLimitBytes,
      signal,
    );
    return typeof bytes === "string" ? { refused: bytes } : judgeBundle(bytes, digest, keys);
  } catch (error) {
    // One broken signature must not hide a good one beside it.
    if (error instanceof PackageCorruptError || error instanceof PackageTooLargeError) {
      return { refused: `cannot be used: ${error.message.replace(/\.$/, "")}` };
    }
    throw error;
  }
};

const judgeBundle = (bytes: Uint8Array, digest: Digest, keys: readonly ReadTrustedKey[]): Judged => {
  const json = parseObject(bytes);
  if (json === undefined) {
    return { refused: "is no JSON object" };
  }
  let bundle: Bundle;
  try {
    bundle = bundleFromJSON(json);
  } catch (cause) {
    return { refused: `is no Sigstore bundle: ${cause instanceof Error ? cause.message : cause}` };
  }
  if (!isBundleWithDsseEnvelope(bundle) || bundle.content.dsseEnvelope.payloadType !== statementPayloadType) {
    return { refused: "signs something else than an in-toto statement" };
  }
  if (!isBundleWithPublicKey(bundle)) {
    return { refused: "is by a certificate, not by a key" };
  }
  const key = keys.find((candidate) => isSignedBy(bundle, candidate));
  if (key === undefined) {
    const { hint } = bundle.verificationMaterial.content.publicKey;
    const named = keys.find((candidate) => candidate.hint === hint);
    return {
      refused: named === undefined ? "is by another key" : `names the key ${named.name}, but its bytes were changed`,
    };
  }
  const digests = digestsOfStatement(bundle.content.dsseEnvelope.payload);
  if (digests === undefined) {
    return { refused: `is by the key ${key.name}, but says something else than that a package is signed` };
  }
  return digests.includes(digest)
    ? { key }
    : { refused: `is by the key ${key.name}, but for another digest, ${digests.join(", ") || "none"}` };
};

/** The hint of a bundle is not trusted: each key is tried. */
const isSignedBy = (bundle: Bundle, { publicKey }: ReadTrustedKey): boolean => {
  const trust: TrustMaterial = {
    certificateAuthorities: [],
    timestampAuthorities: [],
    tlogs: [],
    ctlogs: [],
    publicKey: () => ({ publicKey, validFor: () => true }),
  };
  const verifier = new Verifier(trust, { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 });
  const material = { ...bundle.verificationMaterial, tlogEntries: [], timestampVerificationData: undefined };
  try {
    verifier.verify(toSignedEntity({ ...bundle, verificationMaterial: material } as Bundle));
    return true;
  } catch (error) {
    if (error instanceof VerificationError) {
      return false;
    }
    throw error;
  }
};
