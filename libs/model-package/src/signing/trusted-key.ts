import { createPublicKey, type KeyObject } from "node:crypto";
import { countPemBlocks, isSigningKind, keyHint } from "./signing-key.ts";
import { SigningKeyInvalidError } from "./signing-key-invalid-error.ts";

/** A public key whose signatures count, and the name that it goes by in messages, for example its file's. */
export interface TrustedKey {
  readonly name: string;
  /** SubjectPublicKeyInfo in PEM (`BEGIN PUBLIC KEY`), ECDSA P-256. */
  readonly pem: string;
}

export interface ReadTrustedKey {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly hint: string;
}

const expected = "one ECDSA P-256 public key in PEM (BEGIN PUBLIC KEY)";

/** @throws SigningKeyInvalidError where there is no key, or one of them is none. */
export const readTrustedKeys = (keys: readonly TrustedKey[]): ReadTrustedKey[] => {
  if (keys.length === 0) {
    throw new SigningKeyInvalidError("to verify with", "at least one trusted key", "none");
  }
  return keys.map(({ name, pem }) => {
    // A private key would do as well, which is why it is refused: it does not belong where signatures are checked.
    if (!pem.includes("-----BEGIN PUBLIC KEY-----") || countPemBlocks(pem) !== 1) {
      const got = pem.includes("PRIVATE KEY-----") ? "a private key" : `a text with ${countPemBlocks(pem)} PEM blocks`;
      throw new SigningKeyInvalidError(name, expected, got);
    }
    let publicKey: KeyObject;
    try {
      publicKey = createPublicKey(pem);
    } catch (cause) {
      throw new SigningKeyInvalidError(name, expected, "a PEM that cannot be read", cause);
    }
    if (!isSigningKind(publicKey)) {
      throw new SigningKeyInvalidError(name, expected, `a key of type ${publicKey.asymmetricKeyType}`);
    }
    return { name, publicKey, hint: keyHint(publicKey) };
  });
};
