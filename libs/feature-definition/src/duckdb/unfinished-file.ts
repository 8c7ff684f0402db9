import { randomUUID } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, isAbsolute, relative, resolve } from "node:path";
import { ColumnInvalidError } from "./column-invalid-error.ts";

/** A file that appears whole or not at all: until it is whole it has another name in the same folder. */
export interface UnfinishedFile {
  /** Where to write. */
  readonly path: string;
  /** Gives it its name, in place of what has it. */
  finish(): Promise<void>;
  /** Removes it, unless it is finished. */
  discard(): Promise<void>;
}

export const unfinishedFile = async (path: string): Promise<UnfinishedFile> => {
  await mkdir(dirname(path), { recursive: true });
  const unfinished = `${path}.${randomUUID()}.unfinished`;
  return {
    path: unfinished,
    finish: () => rename(unfinished, path),
    discard: () => rm(unfinished, { force: true }),
  };
};

/** Where a path of a request lies. @throws ColumnInvalidError for one that leads out of the data root, or is no file's. */
export const outputPath = (path: string, dataRoot: string): string => {
  const root = resolve(dataRoot);
  const whole = resolve(root, path);
  const inside = relative(root, whole);
  if (inside === "" || inside.startsWith("..") || isAbsolute(inside) || path.endsWith("/") || path.includes("\0")) {
    throw new ColumnInvalidError([{ field: "parquet_path", expected: "a file below the data root", got: path }]);
  }
  return whole;
};
