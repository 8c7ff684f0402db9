import { promises as files } from "node:fs";
import { join, relative, sep } from "node:path";
import { MillraceError, Reason } from "@millrace/errors";
import type { TrustedKey } from "@millrace/model-package";

/** Thrown when the file of a trusted key cannot be read. */
export class KeyFileUnusableError extends MillraceError {
  constructor(path: string, why: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.SIGNATURE_INVALID, `The trusted key ${path} cannot be read: ${why}.`, {
      cause,
    });
  }
}

/** A public key of ECDSA has 178 bytes in PEM. */
const maxKeyBytes = 16 * 1024;

/**
 * Reads the files of trusted keys, by their paths in the declaration's folder.
 * @throws KeyFileUnusableError where one is not there, is too large, or a link leads out of the folder.
 */
export const readTrustedKeys = async (
  folder: string | undefined,
  paths: readonly string[],
): Promise<readonly TrustedKey[]> => {
  if (folder === undefined) {
    throw new KeyFileUnusableError(paths.join(", "), "this service reads no declaration beside which it could lie");
  }
  return await Promise.all(
    paths.map(async (path): Promise<TrustedKey> => {
      try {
        const [root, file] = await Promise.all([files.realpath(folder), files.realpath(join(folder, path))]);
        if (relative(root, file).split(sep)[0] === "..") {
          throw new KeyFileUnusableError(path, "it lies outside of the declaration's folder");
        }
        const { size } = await files.stat(file);
        if (size > maxKeyBytes) throw new KeyFileUnusableError(path, `it has ${size} bytes, and no key has so many`);
        return { name: path, pem: await files.readFile(file, "utf8") };
      } catch (error) {
        if (error instanceof KeyFileUnusableError) throw error;
        const absent = error instanceof Error && "code" in error && error.code === "ENOENT";
        throw new KeyFileUnusableError(path, absent ? "there is no such file" : "the file system refuses it", error);
      }
    }),
  );
};
