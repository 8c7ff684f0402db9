import type { Kv } from "./kv.ts";
import { StoreUrlInvalidError } from "./store-url-invalid-error.ts";

const openRedis = async (url: string): Promise<Kv> => (await import("./redis.ts")).openRedis(url);

const adapters: Readonly<Record<string, (url: string) => Promise<Kv>>> = {
  lmdb: async (url) => (await import("./open-lmdb-url.ts")).openLmdbUrl(url),
  redis: openRedis,
  rediss: openRedis,
  "redis-cluster": openRedis,
  "rediss-cluster": openRedis,
};

/**
 * Opens the store that the URL names; the adapter is loaded on demand.
 *
 * - `lmdb:./path`: a folder of this machine. Parameter `durability=disk|process` (default `process`).
 * - `redis://host:6379/0`, `rediss://…` (TLS), `redis-cluster://host:6379,host:6379`: Redis 6.2 or newer. Parameters: see
 *   readRedisUrl.
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
