import { type FileHandle, mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { lock } from "proper-lockfile";
import type { ArtifactStore, EncodedManifest } from "../artifact-store.ts";
import { BlobReceiver } from "../blob-receiver.ts";
import type { Descriptor } from "../descriptor.ts";
import { type Digest, hexOf } from "../digest.ts";
import { subjectOf } from "../manifest-subject.ts";
import { sizeLimits } from "../package-content.ts";
import { PackageCorruptError } from "../package-corrupt-error.ts";
import { PackageTooLargeError } from "../package-too-large-error.ts";
import type { TransferObserver } from "../transfer.ts";
import { writeDurably } from "./durable-file.ts";
import { FolderUnusableError } from "./folder-unusable-error.ts";
import { LayoutIndex, withoutTag } from "./layout-index.ts";

/**
 * Artifacts in a folder: one OCI image layout a repository, so that `oras`, `skopeo` and others read each by its path.
 *
 *     <root>/flight_delay/oci-layout          the layout's version
 *     <root>/flight_delay/index.json          manifests and tags; replaced by rename, under the lock index.json.lock
 *     <root>/flight_delay/blobs/sha256/<hex>  manifests, configs, layers; written once, by rename
 *     <root>/flight_delay/.uploads/<uuid>     files on their way; left over only by a crash, swept after an hour
 *
 * Several processes may read and write at once. Readers take no lock: they see the index before or after a change.
 */
export const openLayoutStore = (folder: string, onTransfer: TransferObserver = () => undefined): ArtifactStore =>
  new LayoutStore(folder, onTransfer);

const readChunkBytes = 4 * 1024 ** 2;
const layoutText = '{"imageLayoutVersion":"1.0.0"}';
const abandonedAfterMs = 60 * 60 * 1000;

/** Ten seconds without a sign of life make a lock stale; a holder shows life every two. */
const lockOptions = {
  realpath: false,
  stale: 10_000,
  update: 2_000,
  retries: { retries: 200, factor: 1.2, minTimeout: 5, maxTimeout: 250, randomize: true },
};

class LayoutStore implements ArtifactStore {
  readonly url: string;
  readonly #root: string;
  readonly #onTransfer: TransferObserver;

  constructor(folder: string, onTransfer: TransferObserver) {
    this.url = `oci:${folder}`;
    this.#root = resolve(folder);
    this.#onTransfer = onTransfer;
  }

  async resolveTag(repository: string, tag: string): Promise<Digest | undefined> {
    return (await this.#index(repository)).tagged(tag);
  }

  async readManifest(
    repository: string,
    digest: Digest,
    limitBytes: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const entry = (await this.#index(repository)).find(digest);
    if (entry !== undefined && entry.size > limitBytes) {
      throw new PackageTooLargeError(`The manifest ${repository}@${digest}`, entry.size, limitBytes);
    }
    return entry === undefined ? undefined : this.readBlob(repository, entry, signal);
  }

  async readBlob(repository: string, blob: Descriptor, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#using(async () => {
      const file = await openIfThere(this.#blobPath(repository, blob.digest));
      if (file === undefined) {
        return undefined;
      }
      try {
        return await receive(file, `${repository}@${blob.digest}`, blob, this.#onTransfer, signal);
      } finally {
        await file.close();
      }
    });
  }

  async writeBlob(repository: string, blob: Descriptor, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!(await this.#holdsIntact(repository, blob))) {
      await this.#using(() => writeDurably(this.#blobPath(repository, blob.digest), bytes, this.#uploads(repository)));
    }
    this.#onTransfer({ direction: "push", blob: blob.digest, doneBytes: blob.size, totalBytes: blob.size });
  }

  async writeManifest(repository: string, manifest: EncodedManifest, tags: readonly string[]): Promise<void> {
    await this.writeBlob(repository, manifest.descriptor, manifest.bytes);
    await this.#using(() => this.#changeIndex(repository, (index) => index.with(manifest.descriptor, tags)));
  }

  async referrers(
    repository: string,
    subject: Digest,
    artifactType: string,
    signal?: AbortSignal,
  ): Promise<Descriptor[]> {
    const found: Descriptor[] = [];
    for (const entry of (await this.#index(repository)).manifests()) {
      // An entry need not say its artifact type; the manifest does.
      const mayBe = entry.artifactType === undefined || entry.artifactType === artifactType;
      if (mayBe && entry.size <= sizeLimits.manifest && (await this.#refersTo(repository, entry, subject, signal))) {
        found.push(withoutTag(entry));
      }
    }
    return found;
  }

  async tags(repository: string): Promise<string[]> {
    return (await this.#index(repository)).tags();
  }

  async repositories(): Promise<string[]> {
    const found: string[] = [];
    await this.#using(() => this.#findRepositories("", found));
    return found.sort();
  }

  /** A repository's name may have parts; none lies within another one's blobs. */
  async #findRepositories(below: string, found: string[]): Promise<void> {
    const entries = await readdir(join(this.#root, below), { withFileTypes: true }).catch((error: unknown) => {
      if (below === "" && error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    });
    if (below !== "" && entries.some(({ name }) => name === "oci-layout")) found.push(below);
    for (const entry of entries) {
      if (!entry.isDirectory() || entry.name === "blobs" || entry.name.startsWith(".")) continue;
      const name = below === "" ? entry.name : `${below}/${entry.name}`;
      if (name.length <= 200) await this.#findRepositories(name, found);
    }
  }

  async close(): Promise<void> {
    // Files are opened and closed within each call: nothing is held between calls.
  }

  /** A manifest that cannot be read might be one: whoever reads it is told. */
  async #refersTo(
    repository: string,
    entry: Descriptor,
    subject: Digest,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    try {
      const bytes = await this.readBlob(repository, entry, signal);
      return bytes !== undefined && subjectOf(bytes) === subject;
    } catch (error) {
      if (error instanceof PackageCorruptError) {
        return true;
      }
      throw error;
    }
  }

  async #holdsIntact(repository: string, blob: Descriptor): Promise<boolean> {
    try {
      return (await this.readBlob(repository, blob)) !== undefined;
    } catch (error) {
      if (error instanceof PackageCorruptError) {
        return false;
      }
      throw error;
    }
  }

  async #changeIndex(repository: string, change: (index: LayoutIndex) => LayoutIndex): Promise<void> {
    const folder = join(this.#root, repository);
    await mkdir(folder, { recursive: true });
    let lost: Error | undefined;
    const release = await lock(join(folder, "index.json"), {
      ...lockOptions,
      onCompromised: (error) => {
        lost = error;
      },
    });
    try {
      await this.#sweepUploads(repository);
      const layoutFile = join(folder, "oci-layout");
      if ((await readIfThere(layoutFile)) !== layoutText) {
        await writeDurably(layoutFile, textBytes(layoutText), this.#uploads(repository));
      }
      const changed = change(await this.#index(repository)).toString();
      if (lost !== undefined) {
        throw new FolderUnusableError(folder, "the lock on its index was lost to another process", lost);
      }
      await writeDurably(join(folder, "index.json"), textBytes(changed), this.#uploads(repository));
    } finally {
      if (lost === undefined) {
        await release();
      }
    }
  }

  async #index(repository: string): Promise<LayoutIndex> {
    const path = join(this.#root, repository, "index.json");
    const text = await this.#using(() => readIfThere(path));
    const index = text === undefined ? LayoutIndex.empty : LayoutIndex.parse(text);
    if (index === undefined) {
      throw new FolderUnusableError(join(this.#root, repository), "its index.json is no OCI image index");
    }
    return index;
  }

  async #sweepUploads(repository: string): Promise<void> {
    const folder = this.#uploads(repository);
    for (const name of await readdir(folder).catch(ifAbsent([]))) {
      const path = join(folder, name);
      const file = await stat(path).catch(ifAbsent(undefined));
      if (file !== undefined && Date.now() - file.mtimeMs > abandonedAfterMs) {
        await rm(path, { force: true });
      }
    }
  }

  #blobPath(repository: string, digest: Digest): string {
    return join(this.#root, repository, "blobs", "sha256", hexOf(digest));
  }

  #uploads(repository: string): string {
    return join(this.#root, repository, ".uploads");
  }

  /** Turns the system's errors (no permission, disk full, not a folder) into the domain's. */
  async #using<T>(use: () => Promise<T>): Promise<T> {
    try {
      return await use();
    } catch (error) {
      if (isSystemError(error)) {
        const why = error.code === "ELOCKED" ? "another process holds the lock on its index" : error.code;
        throw new FolderUnusableError(this.#root, why, error);
      }
      throw error;
    }
  }
}

const receive = async (
  file: FileHandle,
  name: string,
  blob: Descriptor,
  onTransfer: TransferObserver,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> => {
  const { size } = await file.stat();
  if (size !== blob.size) {
    throw new PackageCorruptError(name, `${blob.size} bytes`, `${size} bytes`);
  }
  const receiver = new BlobReceiver(name, blob);
  const chunk = new Uint8Array(Math.min(readChunkBytes, Math.max(1, blob.size)));
  while (receiver.received < blob.size) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(chunk, 0, chunk.byteLength, receiver.received);
    if (bytesRead === 0) {
      break;
    }
    receiver.append(chunk.subarray(0, bytesRead));
    onTransfer({ direction: "pull", blob: blob.digest, doneBytes: receiver.received, totalBytes: blob.size });
  }
  return receiver.finish();
};

const openIfThere = (path: string): Promise<FileHandle | undefined> => open(path, "r").catch(ifAbsent(undefined));

const readIfThere = (path: string): Promise<string | undefined> => readFile(path, "utf8").catch(ifAbsent(undefined));

const textBytes = (text: string): Uint8Array => new TextEncoder().encode(text);

const isSystemError = (error: unknown): error is Error & { code: string } =>
  error instanceof Error && "code" in error && typeof error.code === "string" && /^E[A-Z]+$/.test(error.code);

const ifAbsent =
  <T>(value: T) =>
  (error: unknown): T => {
    if (isSystemError(error) && error.code === "ENOENT") {
      return value;
    }
    throw error;
  };
