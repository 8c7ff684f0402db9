import type { ArtifactStore } from "../artifact-store.ts";
import type { Json } from "../canonical-json.ts";
import { type Descriptor, readDescriptor } from "../descriptor.ts";
import type { Digest } from "../digest.ts";
import type { EncodedBlob } from "../encode-package.ts";
import { mediaTypes } from "../media-types.ts";
import { openArtifactStore } from "../open-artifact-store.ts";
import { sizeLimits } from "../package-content.ts";
import { PackageCorruptError } from "../package-corrupt-error.ts";
import { PackageMalformedError } from "../package-malformed-error.ts";
import { parsePackageReference } from "../package-reference.ts";
import { PackageTooLargeError } from "../package-too-large-error.ts";
import { PackageUnknownError } from "../package-unknown-error.ts";

/** A container image to build on, for some platforms. */
export interface BaseImage {
  readonly digest: Digest;
  readonly platforms: readonly BasePlatform[];
}

export interface BasePlatform {
  readonly architecture: string;
  /** The layers as they are, and the digests of what is in them, uncompressed. */
  readonly layers: readonly EncodedBlob[];
  readonly diffIds: readonly string[];
  /** How a container of it runs: environment, user, working directory. */
  readonly runConfig: { readonly [key: string]: Json };
}

/** What an image of a package is written for. */
export const imageArchitectures = ["amd64", "arm64"] as const;

const layerLimitBytes = 1024 ** 3;
const layersLimit = 127;

/** Docker's media types, which are the same formats as those of the specification under older names. */
const specifiedTypes = new Map<string, string>([
  ["application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"],
  ["application/vnd.docker.image.rootfs.diff.tar", mediaTypes.tarLayer],
]);

/**
 * Reads a container image that the image of a package is to be built on, for linux on amd64 and arm64, what it has of
 * these.
 *
 * @param storeUrl `oci://host[:port]/prefix` or `oci:./folder`, as for packages. @param reference `busybox:1.37` or
 *   `busybox@sha256:…`.
 * @throws StoreUrlInvalidError, ReferenceInvalidError; PackageUnknownError where there is no such image;
 *   PackageMalformedError where it is none, or for neither platform; PackageTooLargeError; what the store throws.
 */
export const readBaseImage = async (storeUrl: string, reference: string, signal?: AbortSignal): Promise<BaseImage> => {
  const artifacts = await openArtifactStore(storeUrl);
  try {
    const { repository, digest: named, tag = "" } = parsePackageReference(reference, artifacts.url);
    const digest = named ?? (await artifacts.resolveTag(repository, tag, signal));
    if (digest === undefined) {
      throw new PackageUnknownError(reference, `the store ${artifacts.url} has no such image`);
    }
    const reader = new ImageReader(artifacts, repository, signal);
    const platforms = await reader.platforms(digest);
    if (platforms.length === 0) {
      const expected = `an image for linux on ${imageArchitectures.join(" or ")}`;
      throw new PackageMalformedError(`The image ${reference}`, expected, "one for others, or none");
    }
    return { digest, platforms };
  } finally {
    await artifacts.close();
  }
};

class ImageReader {
  readonly #artifacts: ArtifactStore;
  readonly #repository: string;
  readonly #signal: AbortSignal | undefined;

  constructor(artifacts: ArtifactStore, repository: string, signal: AbortSignal | undefined) {
    this.#artifacts = artifacts;
    this.#repository = repository;
    this.#signal = signal;
  }

  /** Those of an index, or the one of a manifest. */
  async platforms(digest: Digest): Promise<BasePlatform[]> {
    const manifest = await this.#manifest(digest);
    const listed = listOf(manifest.manifests);
    if (listed.length === 0) {
      return this.#platform(digest, manifest);
    }
    const found: BasePlatform[] = [];
    for (const entry of listed) {
      const { os, architecture } = objectOf(objectOf(entry).platform);
      const descriptor = readDescriptor(entry);
      const first = !found.some((one) => one.architecture === architecture);
      if (os === "linux" && first && isWanted(architecture) && descriptor !== undefined) {
        found.push(...(await this.#platform(descriptor.digest, await this.#manifest(descriptor.digest, descriptor))));
      }
    }
    return found;
  }

  async #platform(digest: Digest, manifest: Record<string, unknown>): Promise<BasePlatform[]> {
    const what = `The image ${this.#repository}@${digest}`;
    const described = readDescriptor(manifest.config);
    if (described === undefined || described.size > sizeLimits.config) {
      throw new PackageMalformedError(what, "a config", "none, or one that is too large");
    }
    const config = parseObject(what, (await this.#blob(described)).bytes);
    const diffIds = listOf(objectOf(config.rootfs).diff_ids).filter((id) => typeof id === "string");
    const listed = listOf(manifest.layers);
    if (listed.length !== diffIds.length || listed.length > layersLimit) {
      throw new PackageMalformedError(what, `at most ${layersLimit} layers, each with a diff_id`, `${listed.length}`);
    }
    if (config.os !== "linux" || !isWanted(config.architecture)) {
      return [];
    }
    const layers: EncodedBlob[] = [];
    for (const entry of listed) {
      const layer = readDescriptor(entry);
      if (layer === undefined) {
        throw new PackageMalformedError(what, "layers with type, sha256 digest and size", "others");
      }
      layers.push(await this.#blob(layer));
    }
    return [{ architecture: config.architecture, layers, diffIds, runConfig: objectOf(config.config) as RunConfig }];
  }

  /** @param listed the entry of an index: in a layout, the manifests of an index are blobs that are not listed. */
  async #manifest(digest: Digest, listed?: Descriptor): Promise<Record<string, unknown>> {
    const bytes =
      (await this.#artifacts.readManifest(this.#repository, digest, sizeLimits.manifest, this.#signal)) ??
      (listed === undefined || listed.size > sizeLimits.manifest
        ? undefined
        : await this.#artifacts.readBlob(this.#repository, listed, this.#signal));
    if (bytes === undefined) {
      throw new PackageUnknownError(
        `${this.#repository}@${digest}`,
        `the store ${this.#artifacts.url} does not list it`,
      );
    }
    return parseObject(`The image ${this.#repository}@${digest}`, bytes);
  }

  async #blob({ mediaType, digest, size }: Descriptor): Promise<EncodedBlob> {
    const name = `${this.#repository}@${digest}`;
    if (size > layerLimitBytes) {
      throw new PackageTooLargeError(`The layer ${name}`, size, layerLimitBytes);
    }
    const descriptor = { mediaType: specifiedTypes.get(mediaType) ?? mediaType, digest, size };
    const bytes = await this.#artifacts.readBlob(this.#repository, descriptor, this.#signal);
    if (bytes === undefined) {
      throw new PackageCorruptError(name, `${size} bytes`, "no such blob");
    }
    return { descriptor, bytes };
  }
}

type RunConfig = BasePlatform["runConfig"];

const isWanted = (architecture: unknown): architecture is (typeof imageArchitectures)[number] =>
  imageArchitectures.some((one) => one === architecture);

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const objectOf = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

const parseObject = (what: string, bytes: Uint8Array): Record<string, unknown> => {
  try {
    return objectOf(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw new PackageMalformedError(what, "JSON", "text that is none", cause);
  }
};
