import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type ModelPackage, ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { type Descriptor, readDescriptor } from "./descriptor.ts";
import { pathForm, staysWithin } from "./file-path.ts";
import { annotations, mediaTypes } from "./media-types.ts";
import { externalDataLimits, type PackageFile, sizeLimits } from "./package-content.ts";
import { PackageMalformedError } from "./package-malformed-error.ts";
import { PackageTooLargeError } from "./package-too-large-error.ts";

/** What the manifest of a package names. Layers of types that we do not know are left out, as the specification asks. */
export interface PackageLayers {
  readonly config: Descriptor;
  /** All layers, in order. */
  readonly layers: readonly Descriptor[];
  readonly files: ReadonlyMap<PackageFile, Descriptor>;
  /** Files with weights of the model, by their path relative to `model.onnx`. */
  readonly externalData: ReadonlyMap<string, Descriptor>;
}

/**
 * Reads the OCI manifest of a package.
 *
 * @param reference names the package in errors.
 * @throws PackageMalformedError where it is none of ours, lacks `model.onnx` or `millrace.json`, names a file twice or
 *   outside of the package; PackageTooLargeError where a part is larger than its limit.
 */
export const decodeManifest = (reference: string, bytes: Uint8Array): PackageLayers => {
  const manifest = parseJsonObject(`the manifest of ${reference}`, bytes);
  if (manifest.artifactType !== mediaTypes.artifact) {
    throw new PackageMalformedError(
      `The manifest of ${reference}`,
      `artifactType ${mediaTypes.artifact}`,
      JSON.stringify(manifest.artifactType ?? null),
    );
  }
  const config = readDescriptor(manifest.config);
  if (config?.mediaType !== mediaTypes.config) {
    throw new PackageMalformedError(`The manifest of ${reference}`, `a config of type ${mediaTypes.config}`, "another");
  }
  limit(`The config of ${reference}`, config, sizeLimits.config);
  const listed: unknown = manifest.layers;
  const layers = (Array.isArray(listed) ? listed : []).map((entry: unknown, index) => {
    const descriptor = readDescriptor(entry);
    if (descriptor === undefined) {
      throw new PackageMalformedError(`Layer ${index} of ${reference}`, "type, sha256 digest and size", "none of it");
    }
    return descriptor;
  });
  const { files, externalData } = filesOf(reference, layers);
  for (const required of ["model.onnx", "millrace.json"] as const) {
    if (!files.has(required)) {
      throw new PackageMalformedError(`The manifest of ${reference}`, `a layer ${required}`, "none");
    }
  }
  return { config, layers, files, externalData };
};

/** Whether a manifest is that of a package, rather than of an image or of another artifact beside it. */
export const isPackageManifest = (reference: string, bytes: Uint8Array): boolean =>
  parseJsonObject(`the manifest of ${reference}`, bytes).artifactType === mediaTypes.artifact;

/** Checks a config against the manifest: `diffIds` must be the layers' digests, in their order. */
export const checkConfig = (reference: string, bytes: Uint8Array, layers: readonly Descriptor[]): void => {
  const what = `The config of ${reference}`;
  const { modelfs } = parseJsonObject(what, bytes);
  const { type, diffIds } = (typeof modelfs === "object" && modelfs !== null ? modelfs : {}) as Record<string, unknown>;
  if (type !== "layers" || !Array.isArray(diffIds)) {
    throw new PackageMalformedError(what, "modelfs of type layers with diffIds", JSON.stringify(modelfs ?? null));
  }
  const digests = layers.map(({ digest }) => digest);
  if (diffIds.length !== digests.length || digests.some((digest, index) => diffIds[index] !== digest)) {
    throw new PackageMalformedError(what, `diffIds ${digests.join(" ")}`, diffIds.join(" "));
  }
};

/** Reads `millrace.json`. Fields that this version does not know are ignored, so that newer packages can be read. */
export const decodeModelPackage = (reference: string, bytes: Uint8Array): ModelPackage => {
  const what = `millrace.json of ${reference}`;
  const json = parseJsonObject(what, bytes);
  try {
    return fromJson(ModelPackageSchema, json as { [key: string]: JsonValue }, { ignoreUnknownFields: true });
  } catch (cause) {
    throw new PackageMalformedError(what, "the JSON form of millrace.model.v1.ModelPackage", String(cause), cause);
  }
};

const filesOf = (
  reference: string,
  layers: readonly Descriptor[],
): { readonly files: Map<PackageFile, Descriptor>; readonly externalData: Map<string, Descriptor> } => {
  const files = new Map<PackageFile, Descriptor>();
  const externalData = new Map<string, Descriptor>();
  const seen = new Set<string>();
  for (const layer of layers) {
    const path = layer.annotations?.[annotations.filePath];
    if (path === undefined) {
      continue;
    }
    checkFilePath(reference, path, seen);
    if (isPackageFile(path) && rawTypes.has(layer.mediaType)) {
      limit(`${path} of ${reference}`, layer, sizeLimits[path]);
      files.set(path, layer);
    } else if (layer.mediaType === mediaTypes.weight) {
      limit(`${path} of ${reference}`, layer, externalDataLimits.fileBytes);
      externalData.set(path, layer);
    }
  }
  if (externalData.size > externalDataLimits.files) {
    throw new PackageMalformedError(
      `The manifest of ${reference}`,
      `at most ${externalDataLimits.files} files with weights`,
      `${externalData.size}`,
    );
  }
  return { files, externalData };
};

const rawTypes = new Set<string>([mediaTypes.weight, mediaTypes.weightConfig, mediaTypes.doc]);

const isPackageFile = (path: string): path is PackageFile =>
  path !== "manifest" && path !== "config" && Object.hasOwn(sizeLimits, path);

const checkFilePath = (reference: string, path: string, seen: Set<string>): void => {
  if (!staysWithin(path) || seen.has(pathForm(path))) {
    throw new PackageMalformedError(
      `The manifest of ${reference}`,
      "relative file paths without .., each once",
      JSON.stringify(path),
    );
  }
  seen.add(pathForm(path));
};

const limit = (what: string, { size }: Descriptor, limitBytes: number): void => {
  if (size > limitBytes) {
    throw new PackageTooLargeError(what, size, limitBytes);
  }
};

const parseJsonObject = (what: string, bytes: Uint8Array): Record<string, unknown> => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new PackageMalformedError(what, "a JSON object", "text that is no JSON", cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new PackageMalformedError(what, "a JSON object", JSON.stringify(value));
  }
  return value as Record<string, unknown>;
};
