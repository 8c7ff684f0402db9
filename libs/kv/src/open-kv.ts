import type { Kv } from "./kv.ts";
import { StoreUrlInvalidError } from "./store-url-invalid-error.ts";

const adapters: Readonly<Record<string, (url: string) => Promise<Kv>>> = {
  lmdb: async (url) => (await import("./open-lmdb-url.ts")).openLmdbUrl(url),
};

/**
 * Opens the store that the URL names; the adapter is loaded on demand.
 *
 * - `lmdb:./path`: a folder of this machine. Parameter `durability=disk|process` (default `process`).
 *
 * @throws StoreUrlInvalidError for an unknown scheme, parameter or a malformed URL; FolderUnusableError where an LMDB
 * folder cannot be used; StoreUnavailableError where the server does not answer.
 */
export const openKv = async (url: string): Promise<Kv> => {
  const scheme = /^([a-z][a-z0-9+-]*):/.exec(url)?.[1] ?? "";
  const open = Object.hasOwn(adapters, scheme) ? adapters[scheme] : undefined;
  if (open === undefined) {
    const schemes = Object.keys(adapters).map((name) => `${name}:`);
    throw new StoreUrlInvalidError(
      `a URL that begins with ${schemes.join(", ")}`,
      scheme === "" ? "no scheme" : `${scheme}:`,
    );
  }
  return open(url);
};
