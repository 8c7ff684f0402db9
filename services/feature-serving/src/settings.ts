import { parseDurationUs } from "@millrace/feature-definition";
import { setting } from "@millrace/service-host";
import { z } from "zod";

/** Every setting of feature-serving beside those that each service has. */
export const settings = {
  onlineStoreUrl: setting(
    z.string().default("lmdb:./.millrace/online"),
    "Where the online rows are kept: lmdb:FOLDER or redis://HOST:PORT.",
  ),
  registryUrl: setting(
    z.string().optional(),
    "Where the applied definitions are kept, as for the online store. Default: the online store.",
  ),
  eventLogUrl: setting(
    z.string().default("log:./.millrace/log"),
    "Where the sources' topics are: log:FOLDER or kafka://HOST:PORT[,HOST:PORT].",
  ),
  schemaRegistryUrl: setting(
    z.url({ protocol: /^https?$/ }).optional(),
    "The schema registry of streams with framing SCHEMA_REGISTRY: http[s]://[USER:PASSWORD@]HOST[:PORT].",
  ),
  dataRoot: setting(z.string().default("."), "The folder below which the files of batch sources are found."),
  sqlConnectionsFile: setting(
    z.string().min(1).optional(),
    "A file with the databases of sql sources: NAME=postgres://USER:PASSWORD@HOST:PORT/DATABASE a line. It is read at each use.",
  ),
  role: setting(
    z.enum(["all", "serve", "stream"]).default("all"),
    "What this process does: answer calls (serve), apply the topics' events to the store (stream), or all.",
  ),
  feastHttpPort: setting(
    z.union([z.literal("off"), z.coerce.number().int().min(0).max(65535)]).default("off"),
    "Port of the paths of Feast's HTTP server (6566 there), on the address of gRPC and with its TLS and tokens; 0 takes a free one, `off` has none.",
  ),
  modelsUrl: setting(
    z.string().min(1).optional(),
    "The model store whose packages keep the versions of feature services that they were trained on: oci:FOLDER or oci://HOST[:PORT]/PREFIX.",
  ),
  versionRetention: setting(
    z
      .string()
      .default("7d")
      .refine((text) => parseDurationUs(text) !== undefined, "expected a number and a unit, such as 30s, 24h or 7d"),
    "How long an older version of a feature service is kept after it was last asked for by its version: a number and a unit.",
  ),
  verifyInterval: setting(
    z
      .string()
      .optional()
      .refine(
        (text) => text === undefined || (parseDurationUs(text) ?? 0n) >= 1_000_000n,
        "expected a number and a unit from 1s on, such as 10m or 1h",
      ),
    "How often every feature service is verified against its sources' files, as metrics: a number and a unit. Default: never.",
  ),
  verifyEntities: setting(
    z.coerce.number().int().min(1).max(10_000).default(100),
    "How many entities of each feature service are drawn for it.",
  ),
  streamGroup: setting(
    z.string().min(1).default("feature-serving"),
    "The consumer group of the stream workers of one online store. Another online store on the same log needs another.",
  ),
  topicPartitions: setting(
    z.coerce.number().int().min(1).max(1024).default(4),
    "How many partitions a source's topic gets where it does not exist yet.",
  ),
  rewindMs: setting(
    z.coerce.number().int().min(0).default(60_000),
    "How far the stream worker goes back when the online store may have lost its last writes, in ms.",
  ),
  maxValues: setting(
    z.coerce.number().int().min(1).default(500_000),
    "The most values that one GetFeatures answers: rows times features.",
  ),
  rowCacheBytes: setting(
    z.coerce
      .number()
      .int()
      .min(0)
      .default(64 * 1024 * 1024),
    "Memory for rows that callers let be stale (max_staleness_ms), in bytes; 0 keeps none.",
  ),
  maxStalenessMs: setting(
    z.coerce.number().int().min(0).default(60_000),
    "How stale a row may be at most, in ms, whatever a caller allows.",
  ),
  maxPushRows: setting(z.coerce.number().int().min(1).default(20_000), "The most rows that one Push takes."),
};
