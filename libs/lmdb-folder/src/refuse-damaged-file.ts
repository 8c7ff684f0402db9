import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { FolderUnusableError } from "./folder-unusable-error.ts";

const magic = 0xbeefc0de;
/** Pages may be counted that a transaction gave back before it wrote them. More than this many missing is damage. */
const mostPagesNeverWritten = 64;

interface Meta {
  readonly pageBytes: number;
  readonly freeRoot: bigint;
  readonly mainRoot: bigint;
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

/** LMDB's meta page as it lies in the file; undefined where the bytes are something else. */
const readMeta = (file: number, position: number): Meta | undefined => {
  const page = Buffer.alloc(0xa8);
  if (readSync(file, page, 0, page.length, position) < page.length || page.readUInt32LE(0x18) !== magic) {
    return undefined;
  }
  return {
    pageBytes: page.readUInt32LE(0x30),
    freeRoot: page.readBigUInt64LE(0x58),
    mainRoot: page.readBigUInt64LE(0x88),
    lastPage: page.readBigUInt64LE(0x90),
    transaction: page.readBigUInt64LE(0x98),
  };
};

const noRoot = 0xffff_ffff_ffff_ffffn;

/**
 * LMDB maps its file into memory, and touching a page beyond the end of a file that was cut off kills the process. So
 * the file's size is compared with what its own head says, before anything is mapped.
 * @throws FolderUnusableError where the file is no LMDB file, or parts of it are missing.
 */
export const refuseDamagedFile = (folder: string, path: string): void => {
  if (statSync(path).size === 0) return;
  const file = openSync(path, "r");
  try {
    const first = readMeta(file, 0);
    if (first === undefined || first.pageBytes < 512)
      throw new FolderUnusableError(folder, "its data.mdb is no LMDB file");
    const second = readMeta(file, first.pageBytes);
    if (second === undefined)
      throw new FolderUnusableError(folder, "its data.mdb is damaged: the second head is missing");
    const newest = second.transaction > first.transaction ? second : first;
    const oldest = newest === first ? second : first;
    // Taken after the heads were read: other processes may be writing, and they write pages before the head that names them.
    const pages = BigInt(fstatSync(file).size) / BigInt(first.pageBytes);
    const isBeyond = (root: bigint): boolean => root !== noRoot && root >= pages;
    const missing = oldest.lastPage + 1n - pages;
    if (isBeyond(newest.mainRoot) || isBeyond(newest.freeRoot) || missing > mostPagesNeverWritten) {
      throw new FolderUnusableError(
        folder,
        `its data.mdb is cut off: ${newest.lastPage + 1n} pages are expected, ${pages} are there`,
      );
    }
  } finally {
    closeSync(file);
  }
};
