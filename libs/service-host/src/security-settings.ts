import {
  type ChannelOptions,
  type ClientTls,
  type GrpcServerOptions,
  readBearerTokens,
  readClientToken,
} from "@millrace/grpc";
import type { HostConfig } from "./host-settings.ts";
import { SettingsInvalidError } from "./read-settings.ts";
import { variableName } from "./setting.ts";

/**
 * TLS and tokens of the service's own port.
 * @throws SettingsInvalidError where one file of a pair is missing: plain text in place of TLS is never the answer.
 */
export const serverSecurity = (config: HostConfig): Pick<GrpcServerOptions, "tls" | "tokens" | "allowPlaintext"> => {
  const { tlsCertificateFile: certificateFile, tlsPrivateKeyFile: privateKeyFile, tlsClientCaFile } = config;
  demandTogether(config, "tlsCertificateFile", "tlsPrivateKeyFile");
  if (certificateFile === undefined || privateKeyFile === undefined) {
    if (tlsClientCaFile !== undefined) {
      throw missing("tlsCertificateFile", "tlsClientCaFile");
    }
    return { ...tokensOf(config), allowPlaintext: config.allowPlaintext };
  }
  return { ...tokensOf(config), tls: { certificateFile, privateKeyFile, clientCaFile: tlsClientCaFile } };
};

/**
 * TLS and token of the calls that this service makes. Any of the files turns TLS on.
 * @throws SettingsInvalidError where one file of a pair is missing.
 */
export const peerSecurity = (config: HostConfig): ChannelOptions => {
  const { peerCaFile: caFile, peerCertificateFile: certificateFile, peerPrivateKeyFile: privateKeyFile } = config;
  demandTogether(config, "peerCertificateFile", "peerPrivateKeyFile");
  const tls = caFile ?? certificateFile;
  return {
    tls: tls === undefined ? undefined : { caFile, certificateFile, privateKeyFile },
    token: config.peerTokenFile === undefined ? undefined : readClientToken(config.peerTokenFile),
  };
};

/** How a process asks its own port: with its own certificate, whatever name that certificate carries. */
export const ownPortTls = (config: HostConfig): ClientTls | undefined => {
  const { tlsCertificateFile: certificateFile, tlsPrivateKeyFile: privateKeyFile } = config;
  return certificateFile === undefined ? undefined : { certificateFile, privateKeyFile, verifyServer: false };
};

const tokensOf = ({ tokenFile }: HostConfig): Pick<GrpcServerOptions, "tokens"> =>
  tokenFile === undefined ? {} : { tokens: readBearerTokens(tokenFile) };

const demandTogether = (config: HostConfig, one: keyof HostConfig, other: keyof HostConfig): void => {
  if ((config[one] === undefined) !== (config[other] === undefined)) {
    throw config[one] === undefined ? missing(one, other) : missing(other, one);
  }
};

const missing = (key: string, given: string): SettingsInvalidError =>
  new SettingsInvalidError([
    { field: variableName(key), expected: `a file, since ${variableName(given)} is given`, got: "nothing" },
  ]);
