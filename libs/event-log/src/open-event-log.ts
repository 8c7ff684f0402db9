import type { EventLog } from "./event-log.ts";
import { LogUrlInvalidError } from "./log-url-invalid-error.ts";

const adapters: Readonly<Record<string, (url: string) => Promise<EventLog>>> = {
  log: async (url) => (await import("./open-embedded-url.ts")).openEmbeddedUrl(url),
  kafka: async (url) => (await import("./kafka/kafka-log.ts")).openKafkaLog(url),
};

/**
 * Opens the log that the URL names; the adapter is loaded on demand.
 *
 * - `log:./path`: a folder of this machine. Parameters `durability=disk|process` (default `disk`), `retentionMs=N`.
 * - `kafka://host:9092,host:9092`: Kafka. Parameters: see readKafkaUrl.
 *
 * @throws LogUrlInvalidError for an unknown scheme, parameter or a malformed URL; FolderUnusableError where the folder
 * cannot be used; LogUnavailableError where the brokers do not answer.
 */
export const openEventLog = async (url: string): Promise<EventLog> => {
  const scheme = /^([a-z][a-z0-9+-]*):/.exec(url)?.[1] ?? "";
  const open = Object.hasOwn(adapters, scheme) ? adapters[scheme] : undefined;
  if (open === undefined) {
    const schemes = Object.keys(adapters).map((name) => `${name}:`);
    const got = scheme === "" ? "no scheme" : `${scheme}:`;
    throw new LogUrlInvalidError(`a URL that begins with ${schemes.join(", ")}`, got);
  }
  return open(url);
};
