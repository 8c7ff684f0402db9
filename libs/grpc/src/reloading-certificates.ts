import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { experimental } from "@grpc/grpc-js";
import { CannotListenError } from "./call-errors.ts";

type CertificateProvider = experimental.CertificateProvider;
type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

interface Certificates {
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
  readonly caCertificate: Buffer | undefined;
}

/** Where the PEM files are, and how often they are looked at. */
export interface CertificateFiles {
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  readonly caFile?: string | undefined;
  readonly refreshMs: number;
}

/**
 * A server's certificates from files, read again while the server listens: a renewed certificate is used by the next
 * connection. Files that do not fit each other (a renewal half done) are left alone until they do.
 */
export class ReloadingCertificates implements CertificateProvider {
  readonly #files: CertificateFiles;
  readonly #caListeners = new Set<CaListener>();
  readonly #identityListeners = new Set<IdentityListener>();
  #current: Certificates;
  #timer: NodeJS.Timeout | undefined;

  /** @throws CannotListenError where a file cannot be read, is no PEM, or the key is not the certificate's. */
  constructor(files: CertificateFiles) {
    this.#files = files;
    this.#current = readCertificates(files);
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    this.#watch();
    process.nextTick(() => this.#tellCa(listener));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
    this.#watch();
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    this.#watch();
    process.nextTick(() => listener(this.#current));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
    this.#watch();
  }

  /** The timer lives as long as somebody listens: the server's credentials do so from bind to shutdown. */
  #watch(): void {
    if (this.#caListeners.size + this.#identityListeners.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else if (this.#timer === undefined) {
      this.#timer = setInterval(() => this.#refresh(), this.#files.refreshMs);
      this.#timer.unref();
    }
  }

  #refresh(): void {
    let next: Certificates;
    try {
      next = readCertificates(this.#files);
    } catch (error) {
      if (error instanceof CannotListenError) {
        return;
      }
      throw error;
    }
    const { certificate, privateKey, caCertificate } = this.#current;
    const same =
      next.certificate.equals(certificate) &&
      next.privateKey.equals(privateKey) &&
      (next.caCertificate === undefined || (caCertificate !== undefined && next.caCertificate.equals(caCertificate)));
    if (same) {
      return;
    }
    this.#current = next;
    for (const listener of this.#identityListeners) {
      listener(next);
    }
    for (const listener of this.#caListeners) {
      this.#tellCa(listener);
    }
  }

  #tellCa(listener: CaListener): void {
    const { caCertificate } = this.#current;
    listener(caCertificate === undefined ? null : { caCertificate });
  }
}

const readCertificates = ({ certificateFile, privateKeyFile, caFile }: CertificateFiles): Certificates => {
  const certificate = readPem(certificateFile);
  const privateKey = readPem(privateKeyFile);
  const caCertificate = caFile === undefined ? undefined : readPem(caFile);
  try {
    createSecureContext({ cert: certificate, key: privateKey, ca: caCertificate });
  } catch (cause) {
    throw new CannotListenError(
      `The TLS files ${certificateFile} and ${privateKeyFile} do not fit: ${cause instanceof Error ? cause.message : cause}.`,
      cause,
    );
  }
  return { certificate, privateKey, caCertificate };
};

/** @throws CannotListenError where the file cannot be read or is no PEM. */
export const readPem = (path: string): Buffer => {
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
