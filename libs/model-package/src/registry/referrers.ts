import { setTimeout as sleep } from "node:timers/promises";
import { canonicalJson } from "../canonical-json.ts";
import { type Descriptor, readDescriptor } from "../descriptor.ts";
import { type Digest, hexOf } from "../digest.ts";
import { descriptorJson } from "../encode-package.ts";
import { mediaTypes } from "../media-types.ts";
import { sizeLimits } from "../package-content.ts";
import { RegistryUnavailableError } from "../registry-unavailable-error.ts";
import { readLimited } from "./read-limited.ts";
import type { RegistryClient, RegistryResponse } from "./registry-client.ts";

/** Answers of registries that have no referrers API; some send on to a web page instead. */
const unsupported: readonly number[] = [400, 404, 405, 406];
const attempts = 16;
const longestDelayMs = 400;
const pagesLimit = 64;
const secondLookMs = 200;

/**
 * The manifests that name another as their subject: by the registry's own list, or where it keeps none by the tag
 * `sha256-<hex>`, an index that those who push keep up.
 */
export const findReferrers = async (
  client: RegistryClient,
  repository: string,
  subject: Digest,
  artifactType: string,
  signal?: AbortSignal,
): Promise<Descriptor[]> => {
  const listed =
    (await askRegistry(client, repository, subject, artifactType, signal)) ??
    (await readTagged(client, repository, subject, signal)).entries;
  return listed.filter((entry) => entry.artifactType === artifactType);
};

/**
 * Adds a manifest to the list under the tag of its subject, for registries that keep none themselves. Two who write it
 * at the same moment see that one entry is missing and write again; a registry that offers an ETag refuses the later.
 * An entry counts once it was seen twice: whoever read the list before it came may have written after that.
 *
 * @throws RegistryUnavailableError where others always come in between.
 */
export const listReferrer = async (
  client: RegistryClient,
  repository: string,
  subject: Digest,
  referrer: Descriptor,
  signal?: AbortSignal,
): Promise<void> => {
  let seen = false;
  for (let attempt = 0; attempt < attempts; ) {
    const { entries, etag } = await readTagged(client, repository, subject, signal);
    if (entries.some(({ digest }) => digest === referrer.digest)) {
      if (seen) {
        return;
      }
      seen = true;
      await sleep(secondLookMs * (0.5 + Math.random()), undefined, { signal });
      continue;
    }
    seen = false;
    attempt += 1;
    const index = {
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: [...entries, referrer].map(descriptorJson),
    };
    const answer = await client.send({
      method: "PUT",
      target: `/v2/${repository}/manifests/${referrersTag(subject)}`,
      repository,
      headers: { "content-type": mediaTypes.index, ...(etag === undefined ? {} : { "if-match": etag }) },
      body: Buffer.from(canonicalJson(index)),
      accept: [201, 412],
      signal,
    });
    await answer.body.dump();
    await sleep(Math.random() * Math.min(longestDelayMs, 10 * 2 ** attempt), undefined, { signal });
  }
  throw new RegistryUnavailableError(client.host, `lost the list of signatures to other writers ${attempts} times`, {
    code: "UNAVAILABLE",
  });
};

/** Undefined where the registry keeps no list. */
const askRegistry = async (
  client: RegistryClient,
  repository: string,
  subject: Digest,
  artifactType: string,
  signal: AbortSignal | undefined,
): Promise<Descriptor[] | undefined> => {
  const found: Descriptor[] = [];
  let target: string | URL | undefined =
    `/v2/${repository}/referrers/${subject}?artifactType=${encodeURIComponent(artifactType)}`;
  for (let page = 0; target !== undefined && page < pagesLimit; page += 1) {
    const answer: RegistryResponse = await client.send({
      method: "GET",
      target,
      repository,
      headers: { accept: mediaTypes.index },
      accept: [200, ...unsupported],
      signal,
    });
    if (answer.status !== 200 || !(answer.header("content-type") ?? "").startsWith(mediaTypes.index)) {
      await answer.body.dump();
      return undefined;
    }
    const bytes = await readLimited("The list of signatures", answer.body, sizeLimits.manifest);
    found.push(...entriesOf(client, bytes));
    target = client.nextPage(answer);
  }
  return found;
};

const readTagged = async (
  client: RegistryClient,
  repository: string,
  subject: Digest,
  signal: AbortSignal | undefined,
): Promise<{ readonly entries: Descriptor[]; readonly etag: string | undefined }> => {
  const answer = await client.send({
    method: "GET",
    target: `/v2/${repository}/manifests/${referrersTag(subject)}`,
    repository,
    headers: { accept: mediaTypes.index },
    accept: [200, 404],
    signal,
  });
  if (answer.status === 404) {
    await answer.body.dump();
    return { entries: [], etag: undefined };
  }
  const bytes = await readLimited("The list of signatures", answer.body, sizeLimits.manifest);
  return { entries: entriesOf(client, bytes), etag: answer.header("etag") };
};

const entriesOf = (client: RegistryClient, bytes: Uint8Array): Descriptor[] => {
  let index: unknown;
  try {
    index = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new RegistryUnavailableError(client.host, "answered with a list of signatures that is no JSON", {
      code: "FAILED_PRECONDITION",
      cause,
    });
  }
  const manifests = typeof index === "object" && index !== null && "manifests" in index ? index.manifests : [];
  return (Array.isArray(manifests) ? manifests : []).map(readDescriptor).filter((entry) => entry !== undefined);
};

const referrersTag = (subject: Digest): string => `sha256-${hexOf(subject)}`;
