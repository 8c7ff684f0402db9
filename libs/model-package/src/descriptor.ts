import { type Digest, isDigest } from "./digest.ts";

/** What names a blob in an OCI manifest or index: its type, digest and size in bytes. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Reads a descriptor from parsed JSON; undefined where it is none (wrong types, another digest algorithm). */
export const readDescriptor = (value: unknown): Descriptor | undefined => {
  if (typeof value !== "object" || value === null) {
    return undefined;
  }
  const { mediaType, digest, size, artifactType, annotations } = value as Record<string, unknown>;
  if (typeof mediaType !== "string" || typeof digest !== "string" || !isDigest(digest)) {
    return undefined;
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    return undefined;
  }
  return {
    mediaType,
    digest,
    size,
    ...(typeof artifactType === "string" ? { artifactType } : {}),
    ...(isTextRecord(annotations) ? { annotations } : {}),
  };
};

const isTextRecord = (value: unknown): value is Record<string, string> =>
  typeof value === "object" && value !== null && Object.values(value).every((member) => typeof member === "string");
