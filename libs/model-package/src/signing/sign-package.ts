import { createPublicKey } from "node:crypto";
import { bundleToJSON, toDSSEBundle } from "@sigstore/bundle";
import { dsse } from "@sigstore/core";
import type { ArtifactStore } from "../artifact-store.ts";
import type { Json } from "../canonical-json.ts";
import type { Descriptor } from "../descriptor.ts";
import type { Digest } from "../digest.ts";
import { annotations, mediaTypes } from "../media-types.ts";
import { attachReferrer } from "../referrer.ts";
import { signPredicateType, statementOf, statementPayloadType } from "./signed-statement.ts";
import { keyHint, type PackageSigner } from "./signing-key.ts";

/**
 * Signs a manifest and writes the signature beside it, as cosign does since its version 3: a Sigstore bundle is the one
 * layer of a manifest whose `subject` is the signed one. docs/format.md draws it.
 *
 * @param subject the signed manifest; it must be in the repository.
 * @param now becomes the annotation `org.opencontainers.image.created`.
 * @returns the digest of the signature's own manifest.
 */
export const signManifest = async (
  artifacts: ArtifactStore,
  repository: string,
  subject: Descriptor,
  signer: PackageSigner,
  now: Date,
  signal?: AbortSignal,
): Promise<Digest> => {
  const payload = statementOf(subject.digest);
  const signature = await signer.sign(dsse.preAuthEncoding(statementPayloadType, payload));
  const bundle = toDSSEBundle({
    artifact: payload,
    artifactType: statementPayloadType,
    signature: Buffer.from(signature),
    keyHint: keyHint(createPublicKey(signer.publicKeyPem)),
    certificateChain: false,
  });
  // The hint is the bundle's; cosign knows its keys by other names, and passes over a signature that names one.
  for (const one of bundle.content.dsseEnvelope.signatures) {
    one.keyid = "";
  }
  const notes = {
    [annotations.created]: `${now.toISOString().slice(0, 19)}Z`,
    [annotations.bundleContent]: "dsse-envelope",
    [annotations.bundlePredicateType]: signPredicateType,
  };
  // Through JSON once more, for the library leaves members with the value undefined in it.
  const value = JSON.parse(JSON.stringify(bundleToJSON(bundle))) as Json;
  const content = { mediaType: mediaTypes.sigstoreBundle, value, annotations: notes };
  return attachReferrer(artifacts, repository, subject, content, signal);
};
