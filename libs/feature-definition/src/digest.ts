import { createHash } from "node:crypto";

/** The SHA-256 of a text, in hexadecimal digits. */
export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** The first 12 hexadecimal digits of the SHA-256 of a value's JSON, for versions. */
export const shortDigest = (value: unknown): string =>
  sha256(
    JSON.stringify(value, (_, member: unknown) => (typeof member === "bigint" ? member.toString() : member)),
  ).slice(0, 12);

/** The SHA-256 of bytes, in hexadecimal digits. */
export const sha256Bytes = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
