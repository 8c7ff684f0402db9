import { ChannelCredentials, experimental, ServerCredentials } from "@grpc/grpc-js";
import { ReloadingCertificates, readPem } from "./reloading-certificates.ts";

/** PEM files of a server. */
export interface ServerTls {
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  /** With it, a client must show a certificate that this authority signed (mTLS). */
  readonly clientCaFile?: string | undefined;
  /** How often the files are looked at for a renewal; 10,000 ms unless given. */
  readonly refreshMs?: number | undefined;
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
  const certificates = new ReloadingCertificates({
    certificateFile: tls.certificateFile,
    privateKeyFile: tls.privateKeyFile,
    caFile: tls.clientCaFile,
    refreshMs: tls.refreshMs ?? 10_000,
  });
  // The first parameter of this function of grpc-js is the server's identity, whatever its name says.
  const mutual = tls.clientCaFile !== undefined;
  return experimental.createCertificateProviderServerCredentials(certificates, mutual ? certificates : null, mutual);
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
