import { UsageError } from "./usage-error.ts";

/** Where a package is: the store, and what it is called in there. */
export interface PackageLocation {
  readonly storeUrl: string;
  readonly repository: string;
  /** `repository:tag` or `repository@digest`, as stores take it; undefined where the text names a repository only. */
  readonly reference: string | undefined;
  readonly tag: string | undefined;
}

const example =
  "oci:./models/flight_delay:v1, oci://registry:5000/team/flight_delay:v1, or flight_delay:v1 with --store";

/**
 * Reads a package's name from the command line: a whole URL (`oci:./folder/name:tag`, `oci://host/path/name@sha256:…`,
 * with a query where the store needs one), or a name in the store that is given apart.
 *
 * @throws UsageError
 */
export const packageLocation = (text: string, store: string | undefined): PackageLocation => {
  const { storeUrl, name } = text.startsWith("oci:") ? splitUrl(text) : { storeUrl: store, name: text };
  if (storeUrl === undefined) {
    throw new UsageError(`${text} names no store: expected ${example} or MILLRACE_MODEL_STORE_URL.`);
  }
  const [, repository, tag, digest] = /^([^:@]+)(?::([^:@]+))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(name) ?? [];
  if (repository === undefined) {
    throw new UsageError(`${text} is no package: expected ${example}.`);
  }
  const named =
    digest === undefined ? (tag === undefined ? undefined : `${repository}:${tag}`) : `${repository}@${digest}`;
  return { storeUrl, repository, reference: named, tag };
};

/** The same, where a tag or digest must be named. @throws UsageError */
export const packageReference = (
  text: string,
  store: string | undefined,
): PackageLocation & { readonly reference: string } => {
  const location = packageLocation(text, store);
  const { reference } = location;
  if (reference === undefined) {
    throw new UsageError(`${text} names no package: expected a tag (name:tag) or a digest (name@sha256:…).`);
  }
  return { ...location, reference };
};

/** In a registry all of the path is the name; of a folder, its last part: each repository is a folder of its own. */
const splitUrl = (text: string): { readonly storeUrl: string; readonly name: string } => {
  const [, address = "", query = ""] = /^([^?]*)(\?.*)?$/.exec(text) ?? [];
  const inRegistry = /^(oci:\/\/[^/]+)\/(.+)$/.exec(address);
  if (inRegistry !== null) {
    return { storeUrl: `${inRegistry[1]}${query}`, name: inRegistry[2] ?? "" };
  }
  if (address.startsWith("oci://")) return { storeUrl: text, name: "" };
  const path = address.slice("oci:".length);
  const cut = path.lastIndexOf("/");
  return { storeUrl: `oci:${cut < 0 ? "." : path.slice(0, cut) || "/"}`, name: path.slice(cut + 1) };
};
