import type { ModelPackage } from "@millrace/contracts/millrace/model/v1/model_package";
import type { ArtifactStore } from "./artifact-store.ts";
import { checkConfig, decodeManifest, decodeModelPackage, isPackageManifest } from "./decode-package.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, isDigest } from "./digest.ts";
import { encodePackage } from "./encode-package.ts";
import type { BaseImage } from "./image/base-image.ts";
import { mediaTypes } from "./media-types.ts";
import { type PackageContent, type PackageFile, type PackagePart, sizeLimits } from "./package-content.ts";
import { type ModelPackageReader, PackageFiles, PackageReader, type ResolvedPackage } from "./package-reader.ts";
import { checkRepository, checkTag, formatPackageReference, parsePackageReference } from "./package-reference.ts";
import { PackageUnknownError } from "./package-unknown-error.ts";
import type { PromotionOrder } from "./promotion/promote.ts";
import type { Promotion } from "./promotion/promotion.ts";
import { ReferenceInvalidError } from "./reference-invalid-error.ts";
import type { PackageSigner } from "./signing/signing-key.ts";
import type { TrustedKey } from "./signing/trusted-key.ts";
import type { VerifiedSignature } from "./signing/verify-signature.ts";

export interface PushedImage extends ResolvedPackage {
  /** The package that the image is of. */
  readonly packageDigest: Digest;
}

export interface SignedPackage extends ResolvedPackage {
  /** The digest of the signature's own manifest. */
  readonly signature: Digest;
}

export interface TaggedPackage extends ResolvedPackage {
  readonly tags: readonly string[];
  readonly manifest: ModelPackage;
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
    const { resolved, name, files } = await this.#open(reference, signal);
    const manifest = decodeModelPackage(name, await files.need("millrace.json", signal));
    const reader = new PackageReader(resolved, name, files, manifest);
    await Promise.all(parts.map((part) => reader[part](signal)));
    return reader;
  }

  /**
   * Signs a package and keeps the signature beside it, where cosign and other tools find it. The package stays as it is.
   *
   * @returns the digest of the signature's own manifest.
   * @throws PackageUnknownError, PackageMalformedError
   */
  async sign(reference: string, signer: PackageSigner, signal?: AbortSignal): Promise<SignedPackage> {
    const { resolved, bytes } = await this.#find(reference, signal);
    decodeManifest(formatPackageReference(resolved), bytes);
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

  /**
   * Writes the container image of a package into its repository, and points the tags at it: for Kubernetes and KServe,
   * which mount or unpack images. Equal packages give images of equal digest. `encodeImage` says what is in it.
   *
   * @param base an image to build on, of `readBaseImage`; its layers are copied into the repository.
   * @returns the image's digest, and that of the package that it is of.
   * @throws PackageContentInvalidError where the model's name cannot name a folder; all that `pull` throws.
   */
  async pushImage(
    reference: string,
    tags: readonly string[] = [],
    base?: BaseImage,
    signal?: AbortSignal,
  ): Promise<PushedImage> {
    tags.forEach(checkTag);
    const { resolved, name, files } = await this.#open(reference, signal);
    const { repository, digest } = resolved;
    const manifest = decodeModelPackage(name, await files.need("millrace.json", signal));
    const contents = new Map<PackageFile, Uint8Array>();
    for (const file of files.names()) {
      contents.set(file, await files.need(file, signal));
    }
    const { encodeImage } = await import("./image/encode-image.ts");
    const image = encodeImage(manifest.name, digest, contents, await files.externalData(signal), base);
    for (const { descriptor, bytes } of image.blobs) {
      await this.#artifacts.writeBlob(repository, descriptor, bytes, signal);
    }
    for (const one of image.manifests) {
      await this.#artifacts.writeManifest(repository, one, [], signal);
    }
    await this.#artifacts.writeManifest(repository, image.index, tags, signal);
    return { repository, digest: image.index.descriptor.digest, packageDigest: digest };
  }

  /** The repositories of the store, sorted. @throws RegistryUnavailableError where a registry keeps no catalogue. */
  async repositories(signal?: AbortSignal): Promise<string[]> {
    return this.#artifacts.repositories(signal);
  }

  /** The tags of a repository, sorted; empty where there is no such repository. */
  async tags(repository: string, signal?: AbortSignal): Promise<string[]> {
    return this.#artifacts.tags(checkRepository(repository), signal);
  }

  /**
   * The tags of a repository that name packages, sorted, with the digests that they mean now: not those of images and
   * other artifacts beside them. Reads each tag's manifest.
   *
   * @throws PackageCorruptError; PackageMalformedError where a manifest is no JSON.
   */
  async packageTags(repository: string, signal?: AbortSignal): Promise<Map<string, Digest>> {
    const packages = new Map<string, Digest>();
    for (const tag of await this.tags(repository, signal)) {
      const { resolved, bytes } = await this.#find(`${repository}:${tag}`, signal);
      if (isPackageManifest(`${repository}:${tag}`, bytes)) packages.set(tag, resolved.digest);
    }
    return packages;
  }

  /**
   * Every package that has a tag, repository by repository, with its tags and its manifest. Packages that only their digest
   * names are not among them: no store lists those.
   *
   * @throws RegistryUnavailableError where a registry keeps no catalogue; all that `pull` throws.
   */
  async *packages(signal?: AbortSignal): AsyncGenerator<TaggedPackage> {
    for (const repository of await this.repositories(signal)) {
      const tagsOf = new Map<Digest, string[]>();
      for (const [tag, digest] of await this.packageTags(repository, signal)) {
        tagsOf.set(digest, [...(tagsOf.get(digest) ?? []), tag]);
      }
      for (const [digest, tags] of tagsOf) {
        const { manifest } = await this.pull(`${repository}@${digest}`, [], signal);
        yield { repository, digest, tags, manifest };
      }
    }
  }

  /** Points a tag at a package that the repository holds already. @throws PackageUnknownError, PackageMalformedError */
  async tag(repository: string, digest: string, tag: string, signal?: AbortSignal): Promise<void> {
    if (!isDigest(digest)) {
      throw new ReferenceInvalidError("digest", "sha256: and 64 hexadecimal digits", digest);
    }
    checkTag(tag);
    const { bytes } = await this.#find(`${repository}@${digest}`, signal);
    decodeManifest(`${repository}@${digest}`, bytes);
    const descriptor = packageDescriptor(digest, bytes);
    await this.#artifacts.writeManifest(repository, { descriptor, bytes }, [tag], signal);
  }

  /**
   * Points a tag at a package and keeps a record of it beside the package: who, when, why, what the tag meant before, and
   * what the package's gates said. Rolling back is promoting what it meant before.
   *
   * @throws PackageUnknownError, PackageMalformedError; PromotionRefusedError where gates were not passed, or another moved
   * the tag meanwhile.
   */
  async promote(reference: string, order: PromotionOrder, signal?: AbortSignal): Promise<Promotion> {
    checkTag(order.tag);
    const { resolved, bytes } = await this.#find(reference, signal);
    const { evaluation } = (await this.pull(formatPackageReference(resolved), [], signal)).manifest;
    const gates = (evaluation?.gates ?? []).map(({ rule, value, passed }) => ({ rule, value, passed }));
    const subject = { descriptor: packageDescriptor(resolved.digest, bytes), bytes };
    const { promote } = await import("./promotion/promote.ts");
    return promote(this.#artifacts, resolved.repository, subject, gates, order, new Date(), signal);
  }

  /** The promotions that have led a tag to what it means now, the newest first; empty where it was moved without them. */
  async promotions(repository: string, tag: string, signal?: AbortSignal): Promise<Promotion[]> {
    checkTag(tag);
    const { promotionHistory } = await import("./promotion/promote.ts");
    return promotionHistory(this.#artifacts, checkRepository(repository), tag, signal);
  }

  async close(): Promise<void> {
    await this.#artifacts.close();
  }

  async #open(
    reference: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly resolved: ResolvedPackage; readonly name: string; readonly files: PackageFiles }> {
    const { resolved, bytes } = await this.#find(reference, signal);
    const name = formatPackageReference(resolved);
    const layers = decodeManifest(name, bytes);
    const files = new PackageFiles(this.#artifacts, resolved.repository, name, layers);
    checkConfig(name, await files.bytesOf(layers.config, signal), layers.layers);
    return { resolved, name, files };
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
