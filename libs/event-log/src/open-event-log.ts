import type { EventLog } from "./event-log.ts";
import { LogUrlInvalidError } from "./log-url-invalid-error.ts";

export interface OpenEventLogOptions {
  /**
   * Told of what the adapter's client calls a warning or an error and tries again by itself: for a debug log. What fails for
   * good rejects the call that it concerns.
   */
  readonly notice?: (notice: { readonly level: "error" | "warn"; readonly message: string }) => void;
}

const adapters: Readonly<Record<string, (url: string, options: OpenEventLogOptions) => Promise<EventLog>>> = {
  log: async (url) => (await import("./open-embedded-url.ts")).openEmbeddedUrl(url),
  kafka: async (url, { notice }) => (await import("./kafka/kafka-log.ts")).openKafkaLog(url, notice),
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
export const openEventLog = async (url: string, options: OpenEventLogOptions = {}): Promise<EventLog> => {
  const scheme = /^([a-z][a-z0-9+-]*):/.exec(url)?.[1] ?? "";
  const open = Object.hasOwn(adapters, scheme) ? adapters[scheme] : undefined;
  if (open === undefined) {
    const schemes = Object.keys(adapters).map((name) => `${name}:`);
    const got = scheme === "" ? "no scheme" : `${scheme}:`;
    throw new LogUrlInvalidError(`a URL that begins with ${schemes.join(", ")}`, got);
  }
  return open(url, options);
};
