import { createHash } from "node:crypto";

/** `sha256:` and 64 lower-case hexadecimal digits: the only digest algorithm that packages use. */
export type Digest = `sha256:${string}`;

const form = /^sha256:[0-9a-f]{64}$/;

export const isDigest = (text: string): text is Digest => form.test(text);

export const digestOf = (bytes: Uint8Array): Digest => {
  const hash = createHash("sha256");
  for (let offset = 0; offset < bytes.byteLength; offset += hashedAtOnceBytes) {
    hash.update(bytes.subarray(offset, offset + hashedAtOnceBytes));
  }
  return `sha256:${hash.digest("hex")}`;
};

/** Node hashes at most 2 GiB in one call. */
const hashedAtOnceBytes = 1024 ** 3;

/** The digest's hexadecimal part: the blob's file name in a layout. */
export const hexOf = (digest: Digest): string => digest.slice("sha256:".length);
