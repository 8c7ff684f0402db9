import { readFileSync } from "node:fs";
import type { KafkaConfig } from "kafkajs";
import { LogUrlInvalidError } from "../log-url-invalid-error.ts";

const form =
  "kafka://[user:password@]host:port[,host:port…][?tls=true&caFile=…&saslMechanism=…&passwordFile=…&replicationFactor=n]";
const mechanisms = ["plain", "scram-sha-256", "scram-sha-512"] as const;
const known = new Set(["tls", "caFile", "saslMechanism", "passwordFile", "replicationFactor", "clientId"]);

export interface KafkaSettings {
  readonly client: KafkaConfig;
  /** Of topics that are made; -1 is the broker's default. */
  readonly replicationFactor: number;
}

/**
 * Reads `kafka://host:9092,host:9092`. TLS with `tls=true`, and a certificate authority with `caFile`. A user in the URL
 * switches SASL on; its password stands in the URL or, better, in the file that `passwordFile` names.
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
      ...(tls && { ssl: caFile === null ? true : { ca: readFileSync(caFile, "utf8") } }),
      ...(credentials !== undefined && { sasl: saslOf(credentials, options) }),
    },
    replicationFactor,
  };
};

const saslOf = (credentials: string, options: URLSearchParams): NonNullable<KafkaConfig["sasl"]> => {
  const colon = credentials.indexOf(":");
  const username = decodeURIComponent(colon < 0 ? credentials : credentials.slice(0, colon));
  const passwordFile = options.get("passwordFile");
  const password =
    passwordFile === null
      ? decodeURIComponent(colon < 0 ? "" : credentials.slice(colon + 1))
      : readFileSync(passwordFile, "utf8").trim();
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
