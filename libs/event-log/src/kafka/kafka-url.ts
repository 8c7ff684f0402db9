import { readFileSync } from "node:fs";
import kafkajs, { type CompressionTypes, type KafkaConfig } from "kafkajs";
import { LogUrlInvalidError } from "../log-url-invalid-error.ts";

const form =
  "kafka://[user:password@]host:port[,host:port…][?tls=true&caFile=…&saslMechanism=…&passwordFile=…&passwordEnv=…&replicationFactor=n&compression=…]";
const mechanisms = ["plain", "scram-sha-256", "scram-sha-512"] as const;
const known = new Set([
  "tls",
  "caFile",
  "saslMechanism",
  "passwordFile",
  "passwordEnv",
  "replicationFactor",
  "clientId",
  "compression",
]);
const compressions = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  zstd: kafkajs.CompressionTypes.ZSTD,
} as const;

export interface KafkaSettings {
  readonly client: KafkaConfig;
  /** Of topics that are made; -1 is the broker's default. */
  readonly replicationFactor: number;
  /** Of what is appended. What is read says for itself how it is compressed. */
  readonly compression: CompressionTypes;
}

const readFile = (parameter: string, path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw new LogUrlInvalidError(`${parameter} to name a file that can be read`, path);
  }
};

/**
 * Reads `kafka://host:9092,host:9092`. TLS with `tls=true`, and a certificate authority with `caFile`. A user in the URL
 * switches SASL on; its password stands in the URL or, better, in the file of `passwordFile` or the variable of `passwordEnv`.
 * @throws LogUrlInvalidError
 */
export const readKafkaUrl = (text: string): KafkaSettings => {
  const parts = /^kafka:\/\/(?:([^@/]*)@)?([^/?]+)\/?(?:\?(.*))?$/.exec(text);
  if (parts === null) throw new LogUrlInvalidError(form, "something of another form");
  const [, credentials, hosts = "", query = ""] = parts;
  const brokers = hosts.split(",");
  const odd = brokers.find((broker) => !/^(\[[0-9a-f:]+\]|[^:]+):\d+$/i.test(broker));
  if (odd !== undefined) throw new LogUrlInvalidError("host:port for each broker", odd);
  const options = new URLSearchParams(query);
  for (const key of options.keys())
    if (!known.has(key)) throw new LogUrlInvalidError(`one of ${[...known].join(", ")}`, key);
  const caFile = options.get("caFile");
  const tls = options.get("tls") === "true" || caFile !== null;
  const replicationFactor = Number(options.get("replicationFactor") ?? -1);
  if (!Number.isInteger(replicationFactor) || replicationFactor === 0) {
    throw new LogUrlInvalidError("replicationFactor as a whole number", options.get("replicationFactor") ?? "");
  }
  return {
    client: {
      brokers,
      clientId: options.get("clientId") ?? "millrace",
      ...(tls && { ssl: caFile === null ? true : { ca: readFile("caFile", caFile) } }),
      ...(credentials !== undefined && { sasl: saslOf(credentials, options) }),
    },
    replicationFactor,
    compression: compressionOf(options.get("compression") ?? "none"),
  };
};

const compressionOf = (name: string): CompressionTypes => {
  const found = Object.entries(compressions).find(([known]) => known === name);
  if (found === undefined)
    throw new LogUrlInvalidError(`compression as one of ${Object.keys(compressions).join(", ")}`, name);
  return found[1];
};

const passwordOf = (inUrl: string, options: URLSearchParams): string => {
  const file = options.get("passwordFile");
  if (file !== null) return readFile("passwordFile", file).trim();
  const variable = options.get("passwordEnv");
  if (variable === null) return decodeURIComponent(inUrl);
  const password = process.env[variable];
  if (password === undefined) throw new LogUrlInvalidError("passwordEnv to name a variable that is set", variable);
  return password;
};

const saslOf = (credentials: string, options: URLSearchParams): NonNullable<KafkaConfig["sasl"]> => {
  const colon = credentials.indexOf(":");
  const username = decodeURIComponent(colon < 0 ? credentials : credentials.slice(0, colon));
  const password = passwordOf(colon < 0 ? "" : credentials.slice(colon + 1), options);
  const asked = options.get("saslMechanism") ?? "scram-sha-512";
  const mechanism = mechanisms.find((name) => name === asked);
  if (mechanism === undefined) throw new LogUrlInvalidError(`saslMechanism as one of ${mechanisms.join(", ")}`, asked);
  switch (mechanism) {
    case "plain":
      return { mechanism, username, password };
    case "scram-sha-256":
      return { mechanism, username, password };
    case "scram-sha-512":
      return { mechanism, username, password };
  }
};
