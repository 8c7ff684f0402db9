import { randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/**
 * Writes a file so that at any moment, also after a crash of the machine, its path shows the whole old content or the
 * whole new one: a temporary file is written, flushed to disk and renamed, and the rename is flushed too.
 *
 * @param temporaryFolder on the same file system as `path`; created if absent.
 */
export const writeDurably = async (path: string, bytes: Uint8Array, temporaryFolder: string): Promise<void> => {
  await mkdir(temporaryFolder, { recursive: true });
  await mkdir(dirname(path), { recursive: true });
  const temporary = join(temporaryFolder, randomUUID());
  try {
    const file = await open(temporary, "wx", 0o644);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
};

const syncFolder = async (folder: string): Promise<void> => {
  // Windows cannot open a folder to flush it; its renames are journalled by NTFS.
  if (process.platform === "win32") {
    return;
  }
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};
