import { toJson } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  BaselineSchema,
  GoldenSchema,
  type ModelPackage,
  ModelPackageSchema,
} from "@millrace/contracts/millrace/model/v1/model_package";
import type { EncodedManifest } from "./artifact-store.ts";
import { canonicalJson, type Json } from "./canonical-json.ts";
import type { Descriptor } from "./descriptor.ts";
import { deterministicBinary } from "./deterministic-binary.ts";
import { digestOf } from "./digest.ts";
import { pathForm, staysWithin } from "./file-path.ts";
import { annotations, mediaTypes } from "./media-types.ts";
import { externalDataLimits, type PackageContent, type PackageFile, sizeLimits } from "./package-content.ts";
import { PackageContentInvalidError } from "./package-content-invalid-error.ts";
import { PackageTooLargeError } from "./package-too-large-error.ts";

/** A blob of an artifact: its bytes and what names them. */
export interface EncodedBlob {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

/** An artifact, ready to be written: blobs first, the manifest last. */
export interface EncodedPackage {
  readonly blobs: readonly EncodedBlob[];
  readonly manifest: EncodedManifest;
}

/**
 * Makes the OCI artifact of a package; docs/format.md draws it. Equal content gives equal bytes and so an equal digest:
 * JSON is canonical, protobuf deterministic, and the only time in it is that of the newest training event.
 *
 * @throws PackageContentInvalidError, PackageTooLargeError
 */
export const encodePackage = (content: PackageContent): EncodedPackage => {
  if (content.manifest.name === "") {
    throw new PackageContentInvalidError("manifest.name", "the model's name", "an empty text");
  }
  if (content.model.byteLength === 0) {
    throw new PackageContentInvalidError("model", "a serialised ONNX model", "no bytes");
  }
  const layers = [
    layer("model.onnx", mediaTypes.weight, content.model),
    layer("millrace.json", mediaTypes.weightConfig, jsonBytes(manifestJson(content.manifest))),
    ...(content.baseline === undefined
      ? []
      : [layer("baseline.binpb", mediaTypes.weightConfig, deterministicBinary(BaselineSchema, content.baseline))]),
    ...(content.golden === undefined
      ? []
      : [layer("golden.binpb", mediaTypes.weightConfig, deterministicBinary(GoldenSchema, content.golden))]),
    ...(content.card === undefined ? [] : [layer("README.md", mediaTypes.doc, utf8.encode(content.card))]),
    ...externalLayers(content.externalData ?? new Map()),
  ];
  const config = blob(mediaTypes.config, jsonBytes(configJson(content.manifest, layers)));
  const manifest = blob(
    mediaTypes.manifest,
    jsonBytes({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      artifactType: mediaTypes.artifact,
      config: descriptorJson(config.descriptor),
      layers: layers.map(({ descriptor }) => descriptorJson(descriptor)),
    }),
  );
  return {
    blobs: [...layers, config],
    manifest: { bytes: manifest.bytes, descriptor: { ...manifest.descriptor, artifactType: mediaTypes.artifact } },
  };
};

/** The JSON form of a descriptor, for manifests and indexes. */
export const descriptorJson = ({ mediaType, digest, size, artifactType, annotations: notes }: Descriptor): Json => ({
  mediaType,
  digest,
  size,
  ...(artifactType === undefined ? {} : { artifactType }),
  ...(notes === undefined ? {} : { annotations: notes }),
});

const utf8 = new TextEncoder();

const jsonBytes = (value: Json): Uint8Array => utf8.encode(canonicalJson(value));

const manifestJson = (manifest: ModelPackage): Json => toJson(ModelPackageSchema, manifest) as Json;

const blob = (mediaType: string, bytes: Uint8Array, notes?: Readonly<Record<string, string>>): EncodedBlob => ({
  bytes,
  descriptor: {
    mediaType,
    digest: digestOf(bytes),
    size: bytes.byteLength,
    ...(notes === undefined ? {} : { annotations: notes }),
  },
});

const layer = (file: PackageFile, mediaType: string, bytes: Uint8Array): EncodedBlob => {
  if (bytes.byteLength > sizeLimits[file]) {
    throw new PackageTooLargeError(file, bytes.byteLength, sizeLimits[file]);
  }
  return namedBlob(file, mediaType, bytes);
};

/** In the order of their paths, so that equal content gives an equal digest. */
const externalLayers = (files: ReadonlyMap<string, Uint8Array>): EncodedBlob[] => {
  const seen = new Set<string>(Object.keys(sizeLimits).map(pathForm));
  if (files.size > externalDataLimits.files) {
    throw new PackageContentInvalidError("externalData", `at most ${externalDataLimits.files} files`, `${files.size}`);
  }
  return [...files]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, bytes]) => {
      if (!staysWithin(path) || seen.has(pathForm(path))) {
        const expected = "relative file paths without .., each once, none of the package's own";
        throw new PackageContentInvalidError("externalData", expected, JSON.stringify(path));
      }
      seen.add(pathForm(path));
      if (bytes.byteLength > externalDataLimits.fileBytes) {
        throw new PackageTooLargeError(path, bytes.byteLength, externalDataLimits.fileBytes);
      }
      return namedBlob(path, mediaTypes.weight, bytes);
    });
};

/** The title is what `oras pull` names the file by; the file path is the model specification's own. */
const namedBlob = (path: string, mediaType: string, bytes: Uint8Array): EncodedBlob =>
  blob(mediaType, bytes, { [annotations.filePath]: path, [annotations.title]: path });

/** The model specification's config. Its schema is closed: what is ours stays in millrace.json. */
const configJson = (manifest: ModelPackage, layers: readonly EncodedBlob[]): Json => {
  const newestEvent = manifest.lineage?.newestEvent;
  const revision = manifest.lineage?.codeRevision ?? "";
  return {
    descriptor: {
      name: manifest.name,
      ...(manifest.description === "" ? {} : { description: manifest.description }),
      ...(revision === "" ? {} : { revision }),
      ...(newestEvent === undefined ? {} : { createdAt: toJson(TimestampSchema, newestEvent) }),
    },
    config: { format: "onnx" },
    modelfs: { type: "layers", diffIds: layers.map(({ descriptor }) => descriptor.digest) },
  };
};
