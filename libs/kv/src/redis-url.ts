import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { StoreUrlInvalidError } from "./store-url-invalid-error.ts";

const form =
  "redis[s]://[user:password@]host[:port][,host:port…][/database][?cluster&prefix=…&passwordFile=…&passwordEnv=…&caFile=…&certFile=…&keyFile=…]";
const known = ["cluster", "prefix", "passwordFile", "passwordEnv", "caFile", "certFile", "keyFile"];

/** What a Redis URL says. */
export interface RedisSettings {
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly isCluster: boolean;
  readonly database: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Stands before every key in Redis, and is taken off again on the way back. */
  readonly prefix: string;
  readonly tls: ConnectionOptions | undefined;
  /** The URL without user, password and parameters, for messages. */
  readonly shownAs: string;
}

const readFile = (parameter: string, path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw new StoreUrlInvalidError(`${parameter} to name a file that can be read`, path);
  }
};

/**
 * Reads `redis://host:6379/0`. `rediss:` is TLS; `redis-cluster:`, `rediss-cluster:` or the parameter `cluster` is a Redis
 * Cluster, of which one host is enough. The password stands in the URL, in the file of `passwordFile`, or in the
 * environment variable that `passwordEnv` names.
 * @throws StoreUrlInvalidError
 */
export const readRedisUrl = (url: string): RedisSettings => {
  const parts = /^(rediss?)(-cluster)?:\/\/(?:([^@/]*)@)?([^/?@]+)(?:\/(\d*))?(?:\?(.*))?$/.exec(url);
  if (parts === null) throw new StoreUrlInvalidError(form, "something of another form");
  const [, scheme = "", clusterScheme, credentials = "", hostList = "", database = "", query = ""] = parts;
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!known.includes(name)) throw new StoreUrlInvalidError(`no parameter but ${known.join(", ")}`, name);
  }
  const hosts = hostList.split(",").map(readHost);
  const isCluster = clusterScheme !== undefined || parameters.has("cluster");
  if (hosts.length > 1 && !isCluster) throw new StoreUrlInvalidError("one host, or the parameter cluster", hostList);
  if (isCluster && Number(database) > 0) throw new StoreUrlInvalidError("no database with a cluster", database);
  const prefix = parameters.get("prefix") ?? "";
  if (/[{}]/.test(prefix)) throw new StoreUrlInvalidError("a prefix without braces", prefix);
  const [user = "", inUrl] = credentials.split(/:(.*)/s).map(decodeURIComponent);
  return {
    hosts,
    isCluster,
    database: Number(database),
    username: user === "" ? undefined : user,
    password: readPassword(parameters) ?? inUrl,
    prefix,
    tls: scheme === "rediss" ? readTls(parameters) : undefined,
    shownAs: `${scheme}${clusterScheme ?? ""}://${hostList}`,
  };
};

const readHost = (text: string): { host: string; port: number } => {
  const parts = /^(\[[0-9a-f:]+\]|[^:[\]]+)(?::(\d{1,5}))?$/i.exec(text);
  const port = Number(parts?.[2] ?? 6379);
  if (parts?.[1] === undefined || port > 65_535) throw new StoreUrlInvalidError("host or host:port", text);
  return { host: parts[1].replace(/^\[|\]$/g, ""), port };
};

const readPassword = (parameters: URLSearchParams): string | undefined => {
  const file = parameters.get("passwordFile");
  if (file !== null) return readFile("passwordFile", file).trim();
  const variable = parameters.get("passwordEnv");
  if (variable === null) return undefined;
  const password = process.env[variable];
  if (password === undefined) throw new StoreUrlInvalidError("passwordEnv to name a variable that is set", variable);
  return password;
};

const readTls = (parameters: URLSearchParams): ConnectionOptions => {
  const read = (name: string): string | undefined => {
    const path = parameters.get(name);
    return path === null ? undefined : readFile(name, path);
  };
  const [ca, cert, key] = [read("caFile"), read("certFile"), read("keyFile")];
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
};
