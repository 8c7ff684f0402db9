import type { ArtifactStore } from "./artifact-store.ts";
import { canonicalJson, type Json } from "./canonical-json.ts";
import { type Descriptor, readDescriptor } from "./descriptor.ts";
import { type Digest, digestOf } from "./digest.ts";
import { descriptorJson } from "./encode-package.ts";
import { mediaTypes } from "./media-types.ts";
import { PackageTooLargeError } from "./package-too-large-error.ts";
import { parseObject } from "./parse-object.ts";

/** What is said of a manifest: a JSON document as the one layer of another manifest, whose `subject` is the first. */
export interface ReferrerContent {
  /** Of the referrer, and of its layer. */
  readonly mediaType: string;
  readonly value: Json;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * Writes a document beside a manifest, which must be in the repository.
 * @returns the digest of the referrer.
 */
export const attachReferrer = async (
  artifacts: ArtifactStore,
  repository: string,
  subject: Descriptor,
  { mediaType, value, annotations }: ReferrerContent,
  signal?: AbortSignal,
): Promise<Digest> => {
  const layer = blobOf(mediaType, value);
  const config = blobOf(mediaTypes.empty, {});
  for (const { descriptor, bytes } of [layer, config]) {
    await artifacts.writeBlob(repository, descriptor, bytes, signal);
  }
  const manifest = blobOf(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: mediaType,
    config: descriptorJson(config.descriptor),
    layers: [descriptorJson(layer.descriptor)],
    subject: descriptorJson(subject),
    annotations,
  });
  const descriptor = { ...manifest.descriptor, artifactType: mediaType, annotations };
  await artifacts.writeManifest(repository, { descriptor, bytes: manifest.bytes, subject: subject.digest }, [], signal);
  return descriptor.digest;
};

const blobOf = (mediaType: string, value: Json): { readonly descriptor: Descriptor; readonly bytes: Uint8Array } => {
  const bytes = Buffer.from(canonicalJson(value));
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), size: bytes.byteLength } };
};

/**
 * The bytes of the document that a referrer carries, or the words that say why there are none.
 * @param limitBytes of its manifest and of the document.
 * @throws PackageCorruptError, PackageTooLargeError
 */
export const readReferrer = async (
  artifacts: ArtifactStore,
  repository: string,
  subject: Digest,
  referrer: Digest,
  mediaType: string,
  limitBytes: number,
  signal?: AbortSignal,
): Promise<Uint8Array | string> => {
  const bytes = await artifacts.readManifest(repository, referrer, limitBytes, signal);
  if (bytes === undefined) {
    return "is listed, but not there";
  }
  const manifest = parseObject(bytes);
  const found = readDescriptor(manifest?.subject);
  if (found?.digest !== subject) {
    return `belongs to another digest, ${found?.digest ?? "none"}`;
  }
  const layers: readonly unknown[] = Array.isArray(manifest?.layers) ? manifest.layers : [];
  const layer = readDescriptor(layers[0]);
  if (layers.length !== 1 || layer?.mediaType !== mediaType) {
    return `has no document: expected ${mediaType} as its one layer`;
  }
  if (layer.size > limitBytes) {
    throw new PackageTooLargeError("Its document", layer.size, limitBytes);
  }
  return (await artifacts.readBlob(repository, layer, signal)) ?? "names a document that is not there";
};
