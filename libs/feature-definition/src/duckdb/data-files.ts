import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { glob, open, stat } from "node:fs/promises";
import { isAbsolute, relative, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { SourceDataInvalidError } from "./source-data-invalid-error.ts";

export interface DataFile {
  /** Absolute. */
  readonly path: string;
  /** Relative to the data root. */
  readonly name: string;
  readonly sizeBytes: number;
}

/**
 * The files of a path or glob below the data root, in the order of their names.
 * @param what whose data it is, for the error, such as `the source arrivals`.
 * @throws SourceDataInvalidError if there are none, or the path leads out of the data root.
 */
export const findDataFiles = async (pattern: string, dataRoot: string, what: string): Promise<DataFile[]> => {
  const root = resolve(dataRoot);
  const outside = (path: string): boolean => relative(root, path).startsWith("..") || isAbsolute(relative(root, path));
  if (outside(resolve(root, pattern))) {
    throw new SourceDataInvalidError(what, [{ field: "path", expected: "a path below the data root", got: pattern }]);
  }
  const paths: string[] = [];
  for await (const path of glob(pattern, { cwd: root })) paths.push(resolve(root, path));
  const files: DataFile[] = [];
  for (const path of paths.sort()) {
    const found = await stat(path);
    if (found.isFile()) files.push({ path, name: relative(root, path), sizeBytes: found.size });
  }
  if (files.length === 0) {
    throw new SourceDataInvalidError(what, [
      { field: "path", expected: `files of ${pattern} below the data root`, got: "none" },
    ]);
  }
  return files;
};

const largestFooterBytes = 64 * 1024 * 1024;

/**
 * A tag of a file's content, independent of where and when it was written. Of a Parquet file it is the hash of the
 * footer, which holds the places, sizes and statistics of all column chunks; of others the hash of all bytes.
 */
export const contentTag = async (file: DataFile): Promise<string> => {
  const hash = createHash("sha256");
  const footer = await parquetFooter(file);
  if (footer === undefined) await pipeline(createReadStream(file.path), hash);
  else hash.update(footer);
  return hash.digest("hex");
};

const parquetFooter = async (file: DataFile): Promise<Buffer | undefined> => {
  const handle = await open(file.path, "r");
  try {
    if (file.sizeBytes < 12) return undefined;
    const tail = Buffer.alloc(8);
    await handle.read(tail, 0, 8, file.sizeBytes - 8);
    const length = tail.readUInt32LE(0);
    if (tail.toString("latin1", 4) !== "PAR1" || length + 12 > file.sizeBytes || length > largestFooterBytes)
      return undefined;
    const footer = Buffer.alloc(length);
    await handle.read(footer, 0, length, file.sizeBytes - 8 - length);
    return footer;
  } finally {
    await handle.close();
  }
};
