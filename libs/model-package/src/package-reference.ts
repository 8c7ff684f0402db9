import { type Digest, isDigest } from "./digest.ts";
import { ReferenceInvalidError } from "./reference-invalid-error.ts";

/** A package within a store: by digest, which never changes its meaning, or by tag, which may move. */
export interface PackageReference {
  readonly repository: string;
  readonly digest?: Digest;
  readonly tag?: string;
}

const part = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const repositoryForm = new RegExp(`^${part}(?:/${part})*$`);
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/** Names that a layout uses itself: a repository of this name could not lie beside them. */
const reservedParts = new Set(["blobs", "index.json", "oci-layout"]);

/** @throws ReferenceInvalidError where the name is none that both a layout and a registry can hold. */
export const checkRepository = (repository: string): string => {
  const reserved = repository.split("/").find((name) => reservedParts.has(name));
  if (!repositoryForm.test(repository) || repository.length > 200 || reserved !== undefined) {
    throw new ReferenceInvalidError(
      "repository",
      "at most 200 lower-case letters and digits, separated by one of . _ - or /, such as flight_delay",
      repository,
    );
  }
  return repository;
};

/** Whether a tag is none of a package: registries without a referrers API list under it what refers to a digest. */
export const isReferrersTag = (tag: string): boolean => /^sha256-[0-9a-f]{64}$/.test(tag);

/** @throws ReferenceInvalidError where the text is no tag by the OCI distribution specification. */
export const checkTag = (tag: string): string => {
  if (!tagForm.test(tag)) {
    throw new ReferenceInvalidError("tag", "1 to 128 letters, digits, _, . or -, the first no . or -", tag);
  }
  if (isReferrersTag(tag)) {
    throw new ReferenceInvalidError("tag", "none that registries list signatures under", tag);
  }
  return tag;
};

/**
 * Reads `flight_delay@sha256:…`, `flight_delay:candidate`, or the same behind the store's URL
 * (`oci:./models/flight_delay@sha256:…`, `oci://host:5000/team/flight_delay:candidate`). With tag and digest both, the
 * digest counts, as for container images.
 *
 * @param storeUrl the store's own URL, without query: a full URL must begin with it.
 * @throws ReferenceInvalidError where it is none, names neither tag nor digest, or names another store.
 */
export const parsePackageReference = (text: string, storeUrl: string): PackageReference => {
  const inStore = text.startsWith("oci:") ? withoutStore(text, storeUrl) : text;
  const [named = "", digest, more] = inStore.split("@");
  const colon = named.lastIndexOf(":");
  const repository = checkRepository(colon < 0 ? named : named.slice(0, colon));
  const tag = colon < 0 ? undefined : checkTag(named.slice(colon + 1));
  if (more !== undefined || (digest !== undefined && !isDigest(digest))) {
    throw new ReferenceInvalidError("reference", "sha256: and 64 hexadecimal digits after the @", text);
  }
  if (digest !== undefined) {
    return { repository, digest };
  }
  if (tag !== undefined) {
    return { repository, tag };
  }
  throw new ReferenceInvalidError("reference", "a digest (name@sha256:…) or a tag (name:tag)", text);
};

/** The reference as one writes it. */
export const formatPackageReference = ({ repository, digest, tag }: PackageReference): string =>
  digest === undefined ? `${repository}:${tag}` : `${repository}@${digest}`;

const withoutStore = (text: string, storeUrl: string): string => {
  const prefix = storeUrl.endsWith("/") ? storeUrl : `${storeUrl}/`;
  const reference = text.replace(/\?[^?]*$/, "");
  if (!reference.startsWith(prefix)) {
    throw new ReferenceInvalidError("reference", `a package of the store ${storeUrl}`, text);
  }
  return reference.slice(prefix.length);
};
