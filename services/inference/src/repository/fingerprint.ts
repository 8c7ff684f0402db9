import { promises as files } from "node:fs";
import { join } from "node:path";
import { MillraceError, Reason } from "@millrace/errors";

const maxDepth = 4;
const maxFiles = 10_000;

/**
 * A text that is equal for as long as the files below a path are: their names, sizes, times and numbers. What vanishes
 * meanwhile is left out: the next look sees it.
 * @throws MillraceError where a folder has more files than any model.
 */
export const fingerprint = async (path: string): Promise<string> => {
  const lines: string[] = [];
  await walk(path, "", 0, lines);
  return lines.join("\n");
};

const walk = async (path: string, name: string, depth: number, lines: string[]): Promise<void> => {
  const stat = await ifThere(files.stat(path, { bigint: true }));
  if (stat === undefined) return;
  if (!stat.isDirectory()) {
    lines.push(`${name} ${stat.size} ${stat.mtimeNs} ${stat.ino}`);
    if (lines.length > maxFiles) throw tooMany(path);
    return;
  }
  lines.push(`${name}/`);
  if (depth === maxDepth) return;
  for (const entry of ((await ifThere(files.readdir(path))) ?? []).sort()) {
    await walk(join(path, entry), `${name}/${entry}`, depth + 1, lines);
  }
};

const tooMany = (path: string) =>
  new MillraceError("FAILED_PRECONDITION", Reason.FOLDER_UNUSABLE, `${path} has more than ${maxFiles} files.`);

/** Undefined where a file is not, or no longer, there. */
export const ifThere = async <T>(reading: Promise<T>): Promise<T | undefined> => {
  try {
    return await reading;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
};
