import { PackageTooLargeError } from "../package-too-large-error.ts";

/** Reads a whole body into memory, giving up as soon as it is larger than it may be. @throws PackageTooLargeError */
export const readLimited = async (
  what: string,
  body: AsyncIterable<Uint8Array>,
  limitBytes: number,
): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > limitBytes) {
      throw new PackageTooLargeError(what, sizeBytes, limitBytes);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};
