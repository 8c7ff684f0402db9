import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { glob, open, stat } from "node:fs/promises";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { SourceDataInvalidError } from "./source-data-invalid-error.ts";

export interface DataFile {
  /** Absolute. */
  readonly path: string;
  /** Relative to the data root. */
  readonly name: string;
  readonly sizeBytes: number;
  /** The tag of its content, where that is known without the file. */
  readonly tag?: string;
}

/**
 * The files of a path or glob below the data root, in the order of their names; of a folder all below it that have the
 * extension.
 * @param what whose data it is, for the error, such as `the source arrivals`.
 * @throws SourceDataInvalidError if there are none, or the path leads out of the data root.
 */
export const findDataFiles = async (
  pattern: string,
  extension: "parquet" | "csv",
  dataRoot: string,
  what: string,
): Promise<DataFile[]> => {
  const root = resolve(dataRoot);
  const outside = (path: string): boolean => relative(root, path).startsWith("..") || isAbsolute(relative(root, path));
  if (outside(resolve(root, pattern))) {
    throw new SourceDataInvalidError(what, [{ field: "path", expected: "a path below the data root", got: pattern }]);
  }
  const paths: string[] = [];
  const isFolder = (await stat(resolve(root, pattern)).catch(() => undefined))?.isDirectory() === true;
  const files = isFolder ? `${pattern}/**/*.${extension}` : pattern;
  for await (const path of glob(files, { cwd: root })) paths.push(resolve(root, path));
  const found: DataFile[] = [];
  for (const path of paths.sort()) {
    const entry = await stat(path);
    if (entry.isFile()) found.push({ path, name: relative(root, path), sizeBytes: entry.size });
  }
  if (found.length === 0) {
    throw new SourceDataInvalidError(what, [
      { field: "path", expected: `files of ${files} below the data root`, got: "none" },
    ]);
  }
  return found;
};

/** The columns that stand in a file's path, as `column=value`. */
export const partitionColumns = ({ name }: DataFile): string[] =>
  name
    .split(sep)
    .slice(0, -1)
    .flatMap((folder) => /^([^=]+)=/.exec(folder)?.slice(1, 2) ?? []);

const largestFooterBytes = 64 * 1024 * 1024;

/**
 * A tag of a file's content, independent of where and when it was written. Of a Parquet file it is the hash of the
 * footer, which holds the places, sizes and statistics of all column chunks; of others the hash of all bytes.
 */
export const contentTag = async (file: DataFile): Promise<string> => {
  if (file.tag !== undefined) return file.tag;
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
