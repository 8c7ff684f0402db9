import { accessSync, constants, existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Database, open, type RootDatabase } from "lmdb";
import { FolderUnusableError } from "./folder-unusable-error.ts";
import { makeFolder } from "./make-folder.ts";
import { refuseDamagedFile } from "./refuse-damaged-file.ts";

/** A table of bytes by bytes, in key order. Each entry has a version, a whole number kept beside its value. */
export type LmdbTable = Database<Buffer, Buffer>;

export interface TableOptions {
  readonly name: string;
}

/**
 * What an acknowledged write outlives. `process`: a `kill -9` of any process. `disk`: the machine's crash, too, at the cost
 * of a second flush in each commit. With both the folder stays whole whatever crashes. The first opening of a folder in a
 * process decides for that process.
 */
export type Durability = "process" | "disk";

export interface LmdbFolderOptions {
  readonly maxTables: number;
  readonly durability: Durability;
}

/** An opened folder. All its tables are one LMDB environment: one write transaction covers them. */
export interface LmdbFolder {
  readonly path: string;
  table(options: TableOptions): LmdbTable;
  /** Frees what killed processes left behind, so that the file does not grow for their sake. */
  freeDeadReaders(): void;
  close(): Promise<void>;
}

const sentences: Readonly<Record<string, string>> = {
  EACCES: "permission to write it is missing",
  EPERM: "permission to write it is missing",
  EROFS: "it lies on a file system that is read-only",
  ENOTDIR: "a file stands where a folder of its path is needed",
  EEXIST: "a file of that name stands in its place",
  ENOSPC: "the disk is full",
  ENOENT: "it cannot be made",
};

const errorCode = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";

/**
 * Opens (or makes) a folder for LMDB. Several processes may have it open at once; a process that is killed at any moment
 * leaves it whole.
 * @throws FolderUnusableError where it cannot be made, read or written, or holds something else.
 */
export const openLmdbFolder = (folder: string, { maxTables, durability }: LmdbFolderOptions): LmdbFolder => {
  const path = resolve(folder);
  try {
    makeFolder(path);
    if (!statSync(path).isDirectory()) throw new FolderUnusableError(path, "a file of that name stands in its place");
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    for (const file of [join(path, "data.mdb"), join(path, "lock.mdb")]) {
      if (existsSync(file)) accessSync(file, constants.R_OK | constants.W_OK);
    }
  } catch (error) {
    if (error instanceof FolderUnusableError) throw error;
    throw new FolderUnusableError(path, sentences[errorCode(error)] ?? "it cannot be opened", error);
  }
  const file = join(path, "data.mdb");
  if (existsSync(file)) refuseDamagedFile(path, file);
  let root: RootDatabase<Buffer, Buffer>;
  try {
    root = open<Buffer, Buffer>({
      path,
      noSubdir: false,
      maxDbs: maxTables + 1,
      maxReaders: 512,
      // With overlapping flushes a process that is killed during one leaves a lock behind that breaks the next writer of
      // another process (MDB_PANIC): the recovery of that lock takes the next writer's own transaction for the dead one's.
      overlappingSync: false,
      noMetaSync: durability === "process",
      keyEncoding: "binary",
      encoding: "binary",
    });
  } catch (error) {
    throw new FolderUnusableError(path, "it does not hold an LMDB file of this version", error);
  }
  return {
    path,
    table: ({ name }) => root.openDB({ name, keyEncoding: "binary", encoding: "binary", useVersions: true }),
    freeDeadReaders: () => {
      root.readerCheck();
    },
    close: () => root.close(),
  };
};
