import { setTimeout as sleep } from "node:timers/promises";
import type { ArtifactStore, EncodedManifest } from "../artifact-store.ts";
import type { Descriptor } from "../descriptor.ts";
import { type Digest, digestOf, isDigest } from "../digest.ts";
import { mediaTypes } from "../media-types.ts";
import { sizeLimits } from "../package-content.ts";
import { PackageCorruptError } from "../package-corrupt-error.ts";
import { isReferrersTag } from "../package-reference.ts";
import { RegistryUnavailableError } from "../registry-unavailable-error.ts";
import type { TransferObserver } from "../transfer.ts";
import { downloadBlob } from "./download-blob.ts";
import { readLimited } from "./read-limited.ts";
import { findReferrers, listReferrer } from "./referrers.ts";
import { parseRegistryUrl } from "./registry-address.ts";
import { RegistryClient, type RegistryResponse } from "./registry-client.ts";
import { uploadBlob } from "./upload-blob.ts";

/**
 * Artifacts in an OCI registry, by the distribution API. The registry keeps manifests and tags whole by itself; blobs
 * are sent before the manifest that names them.
 *
 * @throws StoreUrlInvalidError
 */
export const openRegistryStore = (url: string, onTransfer: TransferObserver = () => undefined): ArtifactStore =>
  new RegistryStore(url, onTransfer);

const manifestAttempts = 4;
const manifestPauseMs = 100;
const tagPageLimitBytes = 4 * 1024 ** 2;
const tagPagesLimit = 256;
/** Many registries name no digest where the Accept header lacks the manifest's own type. */
const acceptManifest = {
  accept: [mediaTypes.manifest, mediaTypes.index, mediaTypes.dockerManifest, mediaTypes.dockerIndex].join(", "),
};

class RegistryStore implements ArtifactStore {
  readonly url: string;
  readonly #prefix: string;
  readonly #client: RegistryClient;
  readonly #onTransfer: TransferObserver;

  constructor(url: string, onTransfer: TransferObserver) {
    this.#onTransfer = onTransfer;
    const address = parseRegistryUrl(url);
    this.#prefix = address.prefix;
    this.url = `oci://${address.host}${address.prefix === "" ? "" : `/${address.prefix}`}`;
    this.#client = new RegistryClient(address);
  }

  async resolveTag(repository: string, tag: string, signal?: AbortSignal): Promise<Digest | undefined> {
    const name = this.#name(repository);
    const call = { target: `/v2/${name}/manifests/${tag}`, repository: name, headers: acceptManifest, signal };
    const head = await this.#client.send({ ...call, method: "HEAD", accept: [200, 404] });
    await head.body.dump();
    const digest = head.header("docker-content-digest") ?? "";
    if (head.status === 404 || isDigest(digest)) {
      return head.status === 404 || !isDigest(digest) ? undefined : digest;
    }
    // A registry need not send the header: then the digest is that of the bytes.
    const answer = await this.#client.send({ ...call, method: "GET", accept: [200, 404] });
    if (answer.status === 404) {
      await answer.body.dump();
      return undefined;
    }
    return digestOf(await readLimited(`The manifest ${repository}:${tag}`, answer.body, sizeLimits.manifest));
  }

  async readManifest(
    repository: string,
    digest: Digest,
    limitBytes: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const name = this.#name(repository);
    const answer = await this.#client.send({
      method: "GET",
      target: `/v2/${name}/manifests/${digest}`,
      repository: name,
      headers: acceptManifest,
      accept: [200, 404],
      signal,
    });
    if (answer.status === 404) {
      await answer.body.dump();
      return undefined;
    }
    const bytes = await readLimited(`The manifest ${repository}@${digest}`, answer.body, limitBytes);
    const actual = digestOf(bytes);
    if (actual !== digest) {
      throw new PackageCorruptError(`${repository}@${digest}`, digest, actual);
    }
    return bytes;
  }

  readBlob(repository: string, blob: Descriptor, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return downloadBlob(this.#client, this.#name(repository), blob, this.#onTransfer, signal);
  }

  writeBlob(repository: string, blob: Descriptor, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    return uploadBlob(this.#client, this.#name(repository), blob, bytes, this.#onTransfer, signal);
  }

  async writeManifest(
    repository: string,
    { descriptor, bytes, subject }: EncodedManifest,
    tags: readonly string[],
    signal?: AbortSignal,
  ): Promise<void> {
    const name = this.#name(repository);
    for (const reference of [descriptor.digest, ...tags]) {
      const answer = await this.#putManifest(name, reference, descriptor.mediaType, bytes, signal);
      await answer.body.dump();
      if (subject !== undefined && answer.header("oci-subject") !== subject) {
        await listReferrer(this.#client, name, subject, descriptor, signal);
      }
    }
  }

  /**
   * Registries that keep blobs in files may not see one for a moment while another client sends the same: then they say
   * that a manifest names a blob that is not there.
   */
  async #putManifest(
    name: string,
    reference: string,
    mediaType: string,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<RegistryResponse> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#client.send({
          method: "PUT",
          target: `/v2/${name}/manifests/${reference}`,
          repository: name,
          headers: { "content-type": mediaType },
          body: bytes,
          accept: [201],
          signal,
        });
      } catch (error) {
        const missing =
          error instanceof RegistryUnavailableError && error.registryCodes.includes("MANIFEST_BLOB_UNKNOWN");
        if (!missing || attempt === manifestAttempts) {
          throw error;
        }
      }
      await sleep(manifestPauseMs * attempt, undefined, { signal });
    }
  }

  referrers(repository: string, subject: Digest, artifactType: string, signal?: AbortSignal): Promise<Descriptor[]> {
    return findReferrers(this.#client, this.#name(repository), subject, artifactType, signal);
  }

  async tags(repository: string, signal?: AbortSignal): Promise<string[]> {
    const name = this.#name(repository);
    const tags = await this.#list("tags", `/v2/${name}/tags/list?n=1000`, name, [200, 404], signal);
    return tags.filter((tag) => !isReferrersTag(tag)).sort();
  }

  async repositories(signal?: AbortSignal): Promise<string[]> {
    const names = await this.#list("repositories", "/v2/_catalog?n=1000", "", [200], signal);
    const prefix = this.#prefix === "" ? "" : `${this.#prefix}/`;
    return names.flatMap((name) => (name.startsWith(prefix) ? name.slice(prefix.length) : [])).sort();
  }

  /** All pages of a list; empty where it is absent and that is accepted. */
  async #list(
    what: "tags" | "repositories",
    first: string,
    repository: string,
    accept: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<string[]> {
    const names: string[] = [];
    let target: string | URL | undefined = first;
    for (let page = 0; target !== undefined; page += 1) {
      if (page === tagPagesLimit) {
        throw new RegistryUnavailableError(this.#client.host, `lists ${what} on more than ${tagPagesLimit} pages`, {
          code: "FAILED_PRECONDITION",
        });
      }
      const call = { method: "GET" as const, target, repository, accept, signal };
      const answer: RegistryResponse = await this.#client.send(call);
      if (answer.status === 404) {
        await answer.body.dump();
        return [];
      }
      const bytes = await readLimited(`A page of ${what}`, answer.body, tagPageLimitBytes);
      names.push(...namesOf(this.#client.host, what, bytes));
      target = this.#client.nextPage(answer);
    }
    return names;
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  #name(repository: string): string {
    return this.#prefix === "" ? repository : `${this.#prefix}/${repository}`;
  }
}

const namesOf = (host: string, what: "tags" | "repositories", bytes: Uint8Array): string[] => {
  let page: unknown;
  try {
    page = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new RegistryUnavailableError(host, `answered with a list of ${what} that is no JSON`, {
      code: "FAILED_PRECONDITION",
      cause,
    });
  }
  const names: unknown = typeof page === "object" && page !== null ? Reflect.get(page, what) : undefined;
  return Array.isArray(names) ? names.filter((name): name is string => typeof name === "string") : [];
};
