import { readFileSync } from "node:fs";
import { ChannelCredentials, ServerCredentials } from "@grpc/grpc-js";
import { CannotListenError } from "./call-errors.ts";

/** PEM files of a server. */
export interface ServerTls {
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  /** With it, a client must show a certificate that this authority signed (mTLS). */
  readonly clientCaFile?: string | undefined;
}

/** PEM files of a client. */
export interface ClientTls {
  /** The authority that signed the server's certificate; the system's authorities unless given. */
  readonly caFile?: string | undefined;
  /** The client's own certificate and key, where the server asks for one. */
  readonly certificateFile?: string | undefined;
  readonly privateKeyFile?: string | undefined;
  /** False takes any certificate: only for a process that asks its own port. */
  readonly verifyServer?: boolean | undefined;
}

/** @throws CannotListenError where a file cannot be read or is no PEM. */
export const serverCredentials = (tls: ServerTls | undefined): ServerCredentials => {
  if (tls === undefined) {
    return ServerCredentials.createInsecure();
  }
  const pair = { cert_chain: readPem(tls.certificateFile), private_key: readPem(tls.privateKeyFile) };
  const clientCa = tls.clientCaFile === undefined ? null : readPem(tls.clientCaFile);
  return ServerCredentials.createSsl(clientCa, [pair], clientCa !== null);
};

/** @throws CannotListenError where a file cannot be read or is no PEM. */
export const channelCredentials = (tls: ClientTls | undefined): ChannelCredentials => {
  if (tls === undefined) {
    return ChannelCredentials.createInsecure();
  }
  return ChannelCredentials.createSsl(
    tls.caFile === undefined ? null : readPem(tls.caFile),
    tls.privateKeyFile === undefined ? null : readPem(tls.privateKeyFile),
    tls.certificateFile === undefined ? null : readPem(tls.certificateFile),
    tls.verifyServer === false ? { rejectUnauthorized: false, checkServerIdentity: () => undefined } : {},
  );
};

const readPem = (path: string): Buffer => {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new CannotListenError(`The TLS file ${path} cannot be read.`, cause);
  }
  if (!bytes.includes("-----BEGIN ")) {
    throw new CannotListenError(`The TLS file ${path} is no PEM file.`);
  }
  return bytes;
};
