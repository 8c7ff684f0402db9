import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
} from "node:crypto";
import { SigningKeyInvalidError } from "./signing-key-invalid-error.ts";

/** Signs packages: a key in a file, or whatever holds one (a hardware module, a key service) and signs as it does. */
export interface PackageSigner {
  /** The public key, to be given to whoever verifies: SubjectPublicKeyInfo in PEM. */
  readonly publicKeyPem: string;
  /** The ECDSA P-256 signature over the SHA-256 of the bytes, in DER. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

const expectedPrivate = "an ECDSA P-256 private key as PKCS #8 in PEM";

/**
 * A signer with the key of a PEM file, for example of `generateSigningKey` or of `openssl genpkey`.
 *
 * @param passphrase opens an encrypted key; an encrypted key without one is refused.
 * @throws SigningKeyInvalidError
 */
export const signerFromPem = (pem: string, passphrase?: string): PackageSigner => {
  const key = readPrivateKey(pem, passphrase);
  return {
    publicKeyPem: publicPem(createPublicKey(key)),
    sign: async (bytes) => signBytes("sha256", bytes, key),
  };
};

/**
 * A new key pair for signing packages.
 *
 * @param passphrase encrypts the private key (PBES2 with AES-256); without one it is written as it is.
 */
export const generateSigningKey = (
  passphrase?: string,
): { readonly privateKeyPem: string; readonly publicKeyPem: string } => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const form = { type: "pkcs8", format: "pem" } as const;
  const pem = privateKey.export(passphrase === undefined ? form : { ...form, cipher: "aes-256-cbc", passphrase });
  return { privateKeyPem: String(pem), publicKeyPem: publicPem(publicKey) };
};

/** By what a bundle hints at its key: base64 of the SHA-256 of the public key in DER, as cosign writes it. */
export const keyHint = (publicKey: KeyObject): string =>
  createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64");

/** Whether a key is of the one kind that packages are signed with. */
export const isSigningKind = (key: KeyObject): boolean =>
  key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";

/** How many keys and certificates a PEM text holds. */
export const countPemBlocks = (pem: string): number => pem.match(/-----BEGIN /g)?.length ?? 0;

const readPrivateKey = (pem: string, passphrase: string | undefined): KeyObject => {
  if (/-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----/.test(pem)) {
    throw new SigningKeyInvalidError("to sign with", expectedPrivate, "a key in cosign's own encryption");
  }
  if (pem.includes("-----BEGIN ENCRYPTED PRIVATE KEY-----") && passphrase === undefined) {
    throw new SigningKeyInvalidError("to sign with", "the password of an encrypted key", "none");
  }
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: "pem", ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    const got = countPemBlocks(pem) === 0 ? "a text that is no PEM" : "another PEM, or another password";
    throw new SigningKeyInvalidError("to sign with", expectedPrivate, got, cause);
  }
  if (!isSigningKind(key)) {
    throw new SigningKeyInvalidError("to sign with", expectedPrivate, `a key of type ${key.asymmetricKeyType}`);
  }
  return key;
};

const publicPem = (key: KeyObject): string => String(key.export({ type: "spki", format: "pem" }));
