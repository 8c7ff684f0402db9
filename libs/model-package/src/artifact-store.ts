import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";

/** The bytes of an OCI manifest and what names them. */
export interface EncodedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  /** The manifest that this one says something about, by its own `subject`: then it is found by `referrers`. */
  readonly subject?: Digest;
}

/**
 * Where OCI artifacts lie: the port between packages and a layout on disk or a registry. Repository names and tags are
 * checked by the caller. Whatever is read has the digest and size that it was asked by, else PackageCorruptError.
 * Rejects with RegistryUnavailableError or FolderUnusableError when the store cannot be used.
 */
export interface ArtifactStore {
  /** The store's URL, without credentials and without query. */
  readonly url: string;

  /** The digest that a tag points at; undefined where the repository or the tag is absent. */
  resolveTag(repository: string, tag: string, signal?: AbortSignal): Promise<Digest | undefined>;

  /** The bytes of a manifest; undefined where the repository does not list it. At most `limitBytes`. */
  readManifest(
    repository: string,
    digest: Digest,
    limitBytes: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined>;

  /** The bytes of a blob, all of them in memory; undefined where it is absent. */
  readBlob(repository: string, blob: Descriptor, signal?: AbortSignal): Promise<Uint8Array | undefined>;

  /** Writes a blob, unless an intact one is there already. Durable once it resolves. */
  writeBlob(repository: string, blob: Descriptor, bytes: Uint8Array, signal?: AbortSignal): Promise<void>;

  /**
   * Lists a manifest and points the tags at it. All its blobs must have been written: then a crash at any moment leaves
   * each tag on a whole package, the old one or the new one. Tags of others stay as they are.
   */
  writeManifest(
    repository: string,
    manifest: EncodedManifest,
    tags: readonly string[],
    signal?: AbortSignal,
  ): Promise<void>;

  /**
   * The manifests of an artifact type that name this one as their `subject`, in no order; empty where there are none.
   * It may name some that turn out, when read, to be damaged or to have another subject: the caller checks.
   */
  referrers(repository: string, subject: Digest, artifactType: string, signal?: AbortSignal): Promise<Descriptor[]>;

  /** All tags of a repository, sorted, but for those that only list referrers; empty where the repository is absent. */
  tags(repository: string, signal?: AbortSignal): Promise<string[]>;

  /**
   * The repositories of the store, sorted. A registry that keeps no catalogue (`/v2/_catalog`), or gives it to nobody,
   * rejects with RegistryUnavailableError.
   */
  repositories(signal?: AbortSignal): Promise<string[]>;

  close(): Promise<void>;
}
