import { basename, dirname, join, resolve } from "node:path";
import { type ModelStore, openModelStore, PackageMalformedError } from "@millrace/model-package";
import { ModelInvalidError } from "@millrace/tensor";
import { fingerprint } from "../fingerprint.ts";
import type { FoundModel, FoundVersion } from "../found-model.ts";
import { isVersion } from "./triton-folder.ts";

/** Tags that say which package is meant, where none is a number. */
const pointers = ["production", "latest"];

/**
 * A model package in an OCI image layout, digests verified. Tags that are numbers are versions; without any, the package
 * of the tag `production`, of `latest`, or the only one there is, is version 1.
 */
export const ociLayout = async (source: string, path: string): Promise<FoundModel> => {
  const folder = resolve(path);
  const name = basename(folder);
  return {
    name,
    source,
    path,
    fingerprint: await fingerprint(join(folder, "index.json")),
    open: async (config) => ({
      config,
      folder: undefined,
      boundary: folder,
      fingerprint: "",
      versions: await withStore(dirname(folder), (store) => versionsOf(store, dirname(folder), name)),
    }),
  };
};

const storeUrl = (folder: string): string => `oci:${folder}`;

const withStore = async <T>(folder: string, use: (store: ModelStore) => Promise<T>): Promise<T> => {
  const store = await openModelStore(storeUrl(folder));
  try {
    return await use(store);
  } finally {
    await store.close();
  }
};

const versionsOf = async (store: ModelStore, folder: string, name: string): Promise<FoundVersion[]> => {
  // An image of a package lies beside it under a tag of its own: it is no other package.
  const digests: ReadonlyMap<string, string> = await store.packageTags(name);
  const tags = [...digests.keys()];
  const numbers = tags.filter(isVersion);
  if (numbers.length > 0) {
    return numbers.map((tag) => packageVersion(folder, name, tag, `${name}:${tag}`, digests.get(tag) ?? ""));
  }
  const pointer = pointers.find((pointer) => digests.has(pointer));
  const packages = pointer === undefined ? await packagesOf(store, name, digests) : [];
  const tag = pointer ?? (new Set(packages.map(([, digest]) => digest)).size === 1 ? packages[0]?.[0] : undefined);
  if (tag === undefined) {
    throw new ModelInvalidError(
      tags.length === 0
        ? `The OCI layout ${name} has no tag that names a package.`
        : `The OCI layout ${name} has several packages, and no tag says which is meant: expected numbers, ${pointers.join(" or ")}; got ${tags.join(", ")}.`,
    );
  }
  return [packageVersion(folder, name, "1", `${name}:${tag}`, digests.get(tag) ?? "")];
};

/** The tags that name packages, each with its digest: images of packages lie beside them. */
const packagesOf = async (
  store: ModelStore,
  name: string,
  digests: ReadonlyMap<string, string>,
): Promise<(readonly [string, string])[]> => {
  const found: (readonly [string, string])[] = [];
  for (const [tag, digest] of digests) {
    try {
      await store.pull(`${name}@${digest}`);
      found.push([tag, digest]);
    } catch (error) {
      if (!(error instanceof PackageMalformedError)) throw error;
    }
  }
  return found;
};

const packageVersion = (
  folder: string,
  name: string,
  version: string,
  reference: string,
  digest: string,
): FoundVersion => ({
  version,
  reference,
  fingerprint: digest,
  read: () =>
    withStore(folder, async (store) => {
      const reader = await store.pull(`${name}@${digest}`);
      return {
        model: await reader.model(),
        externalData: await reader.externalData(),
        golden: await reader.golden(),
        origin: {
          reference,
          digest: reader.digest,
          repository: reader.repository,
          storeUrl: storeUrl(folder),
          manifest: reader.manifest,
        },
      };
    }),
});
