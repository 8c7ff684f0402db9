import { fromBinary } from "@bufbuild/protobuf";
import {
  type Baseline,
  BaselineSchema,
  type Golden,
  GoldenSchema,
  type ModelPackage,
} from "@millrace/contracts/millrace/model/v1/model_package";
import type { ArtifactStore } from "./artifact-store.ts";
import { checkConfig, decodeManifest, decodeModelPackage, type PackageLayers } from "./decode-package.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, isDigest } from "./digest.ts";
import { encodePackage } from "./encode-package.ts";
import { mediaTypes } from "./media-types.ts";
import { type PackageContent, type PackageFile, type PackagePart, sizeLimits } from "./package-content.ts";
import { PackageCorruptError } from "./package-corrupt-error.ts";
import { PackageMalformedError } from "./package-malformed-error.ts";
import { checkRepository, checkTag, formatPackageReference, parsePackageReference } from "./package-reference.ts";
import { PackageUnknownError } from "./package-unknown-error.ts";
import { ReferenceInvalidError } from "./reference-invalid-error.ts";
import type { PackageSigner } from "./signing/signing-key.ts";
import type { TrustedKey } from "./signing/trusted-key.ts";
import type { VerifiedSignature } from "./signing/verify-signature.ts";

export interface ResolvedPackage {
  readonly repository: string;
  readonly digest: Digest;
}

export interface SignedPackage extends ResolvedPackage {
  /** The digest of the signature's own manifest. */
  readonly signature: Digest;
}

/**
 * A package that was found and checked. The manifest is there; the parts are read when asked for, verified, and kept.
 * What it gives out is shared: do not change it.
 */
export interface ModelPackageReader extends ResolvedPackage {
  /** `repository@digest`: names this very package, now and later. */
  readonly reference: string;
  readonly manifest: ModelPackage;
  /** The serialised ONNX model. @throws PackageCorruptError */
  model(signal?: AbortSignal): Promise<Uint8Array>;
  /** The training profile; undefined where the package has none. @throws PackageCorruptError, PackageMalformedError */
  baseline(signal?: AbortSignal): Promise<Baseline | undefined>;
  /** Undefined where the package has none. @throws PackageCorruptError, PackageMalformedError */
  golden(signal?: AbortSignal): Promise<Golden | undefined>;
  /** The model card as Markdown; undefined where the package has none. @throws PackageCorruptError */
  card(signal?: AbortSignal): Promise<string | undefined>;
}

/**
 * Model packages in a store. A reference is `flight_delay@sha256:…`, `flight_delay:candidate`, or either behind the
 * store's URL. Every method rejects with RegistryUnavailableError or FolderUnusableError when the store cannot be used,
 * and with ReferenceInvalidError where a name is not well formed.
 */
export class ModelStore {
  readonly #artifacts: ArtifactStore;

  constructor(artifacts: ArtifactStore) {
    this.#artifacts = artifacts;
  }

  /** The store's URL, without query and credentials. */
  get url(): string {
    return this.#artifacts.url;
  }

  /**
   * Writes a package and points the tags at it. Equal content gives an equal digest, in every store; pushing it again
   * is harmless. A crash at any moment leaves each tag on a whole package.
   *
   * @throws PackageContentInvalidError, PackageTooLargeError before anything is written.
   */
  async push(
    repository: string,
    content: PackageContent,
    tags: readonly string[] = [],
    signal?: AbortSignal,
  ): Promise<{ readonly digest: Digest }> {
    checkRepository(repository);
    tags.forEach(checkTag);
    const { blobs, manifest } = encodePackage(content);
    for (const { descriptor, bytes } of blobs) {
      await this.#artifacts.writeBlob(repository, descriptor, bytes, signal);
    }
    await this.#artifacts.writeManifest(repository, manifest, tags, signal);
    return { digest: manifest.descriptor.digest };
  }

  /** Finds the digest that a reference means now. @throws PackageUnknownError */
  async resolve(reference: string, signal?: AbortSignal): Promise<ResolvedPackage> {
    const { resolved } = await this.#find(reference, signal);
    return resolved;
  }

  /**
   * Finds a package, checks that it is one, and reads its manifest.
   *
   * @param parts those that are wanted at once: they are read before this resolves. The others are read when asked for.
   * @throws PackageUnknownError, PackageCorruptError, PackageMalformedError, PackageTooLargeError
   */
  async pull(reference: string, parts: readonly PackagePart[] = [], signal?: AbortSignal): Promise<ModelPackageReader> {
    const { resolved, bytes } = await this.#find(reference, signal);
    const name = formatPackageReference(resolved);
    const layers = decodeManifest(name, bytes);
    const files = new PackageFiles(this.#artifacts, resolved.repository, name, layers);
    checkConfig(name, await files.bytesOf(layers.config, signal), layers.layers);
    const reader = new Reader(
      resolved,
      name,
      files,
      decodeModelPackage(name, await files.need("millrace.json", signal)),
    );
    await Promise.all(parts.map((part) => reader[part](signal)));
    return reader;
  }

  /**
   * Signs a package and keeps the signature beside it, where cosign and other tools find it. The package stays as it is.
   *
   * @returns the digest of the signature's own manifest.
   * @throws PackageUnknownError
   */
  async sign(reference: string, signer: PackageSigner, signal?: AbortSignal): Promise<SignedPackage> {
    const { resolved, bytes } = await this.#find(reference, signal);
    const { signManifest } = await import("./signing/sign-package.ts");
    const subject = packageDescriptor(resolved.digest, bytes);
    const signature = await signManifest(this.#artifacts, resolved.repository, subject, signer, new Date(), signal);
    return { ...resolved, signature };
  }

  /**
   * Finds a signature of a package by one of the trusted keys.
   *
   * @throws SignatureInvalidError where there is none; SigningKeyInvalidError where a trusted key is none.
   */
  async verifySignature(
    { repository, digest }: ResolvedPackage,
    trustedKeys: readonly TrustedKey[],
    signal?: AbortSignal,
  ): Promise<VerifiedSignature> {
    const { verifySignature } = await import("./signing/verify-signature.ts");
    return verifySignature(this.#artifacts, { repository: checkRepository(repository), digest }, trustedKeys, signal);
  }

  /** The tags of a repository, sorted; empty where there is no such repository. */
  async tags(repository: string, signal?: AbortSignal): Promise<string[]> {
    return this.#artifacts.tags(checkRepository(repository), signal);
  }

  /** Points a tag at a package that the repository holds already. @throws PackageUnknownError */
  async tag(repository: string, digest: string, tag: string, signal?: AbortSignal): Promise<void> {
    if (!isDigest(digest)) {
      throw new ReferenceInvalidError("digest", "sha256: and 64 hexadecimal digits", digest);
    }
    checkTag(tag);
    const { bytes } = await this.#find(`${repository}@${digest}`, signal);
    const descriptor = packageDescriptor(digest, bytes);
    await this.#artifacts.writeManifest(repository, { descriptor, bytes }, [tag], signal);
  }

  async close(): Promise<void> {
    await this.#artifacts.close();
  }

  async #find(
    text: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly resolved: ResolvedPackage; readonly bytes: Uint8Array }> {
    const { repository, digest: named, tag } = parsePackageReference(text, this.url);
    const digest = named ?? (tag === undefined ? undefined : await this.#artifacts.resolveTag(repository, tag, signal));
    if (digest === undefined) {
      throw new PackageUnknownError(text, `the store ${this.url} has no tag ${tag} in ${repository}`);
    }
    const bytes = await this.#artifacts.readManifest(repository, digest, sizeLimits.manifest, signal);
    if (bytes === undefined) {
      throw new PackageUnknownError(text, `the store ${this.url} does not list it`);
    }
    return { resolved: { repository, digest }, bytes };
  }
}

const packageDescriptor = (digest: Digest, bytes: Uint8Array): Descriptor => ({
  mediaType: mediaTypes.manifest,
  digest,
  size: bytes.byteLength,
  artifactType: mediaTypes.artifact,
});

/** The files of one package, by the layers that its manifest names. */
class PackageFiles {
  readonly #artifacts: ArtifactStore;
  readonly #repository: string;
  readonly #layers: PackageLayers;
  readonly name: string;

  constructor(artifacts: ArtifactStore, repository: string, name: string, layers: PackageLayers) {
    this.#artifacts = artifacts;
    this.#repository = repository;
    this.#layers = layers;
    this.name = name;
  }

  async need(file: PackageFile, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.read(file, signal);
    if (bytes === undefined) {
      throw new PackageMalformedError(this.name, `a layer ${file}`, "none");
    }
    return bytes;
  }

  async read(file: PackageFile, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const layer = this.#layers.files.get(file);
    return layer === undefined ? undefined : this.bytesOf(layer, signal);
  }

  /** A blob that a listed manifest names must be there: the package is damaged otherwise. */
  async bytesOf(blob: Descriptor, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.#artifacts.readBlob(this.#repository, blob, signal);
    if (bytes === undefined) {
      throw new PackageCorruptError(`${this.#repository}@${blob.digest}`, `${blob.size} bytes`, "no such blob");
    }
    return bytes;
  }
}

class Reader implements ModelPackageReader {
  readonly repository: string;
  readonly digest: Digest;
  readonly reference: string;
  readonly manifest: ModelPackage;
  readonly #files: PackageFiles;
  readonly #kept = new Map<PackageFile, Promise<unknown>>();

  constructor(resolved: ResolvedPackage, reference: string, files: PackageFiles, manifest: ModelPackage) {
    this.repository = resolved.repository;
    this.digest = resolved.digest;
    this.reference = reference;
    this.#files = files;
    this.manifest = manifest;
  }

  model(signal?: AbortSignal): Promise<Uint8Array> {
    return this.#once("model.onnx", () => this.#files.need("model.onnx", signal));
  }

  baseline(signal?: AbortSignal): Promise<Baseline | undefined> {
    return this.#decoded("baseline.binpb", signal, (bytes) => fromBinary(BaselineSchema, bytes));
  }

  golden(signal?: AbortSignal): Promise<Golden | undefined> {
    return this.#decoded("golden.binpb", signal, (bytes) => fromBinary(GoldenSchema, bytes));
  }

  card(signal?: AbortSignal): Promise<string | undefined> {
    return this.#decoded("README.md", signal, (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  }

  #decoded<T>(
    file: PackageFile,
    signal: AbortSignal | undefined,
    decode: (bytes: Uint8Array) => T,
  ): Promise<T | undefined> {
    return this.#once(file, async () => {
      const bytes = await this.#files.read(file, signal);
      if (bytes === undefined) {
        return undefined;
      }
      try {
        return decode(bytes);
      } catch (cause) {
        throw new PackageMalformedError(
          `${file} of ${this.reference}`,
          "its contract's encoding",
          String(cause),
          cause,
        );
      }
    });
  }

  /** A part is read once; a read that failed is tried again at the next call. */
  #once<T>(file: PackageFile, read: () => Promise<T>): Promise<T> {
    const kept = this.#kept.get(file);
    if (kept !== undefined) {
      return kept as Promise<T>;
    }
    const reading = read();
    this.#kept.set(file, reading);
    reading.catch(() => this.#kept.delete(file));
    return reading;
  }
}
