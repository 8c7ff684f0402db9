import { createHash } from "node:crypto";
import { promises as files } from "node:fs";
import { dirname } from "node:path";
import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a file was changed by someone else while it was being edited or waited for. */
export class FileChangedError extends MillraceError {
  constructor(path: string, what: string) {
    super("ABORTED", Reason.CONFLICT, `${path} was changed by someone else meanwhile: ${what}.`);
  }
}

/** A deployments file as it was read: what it is written back to, and what it must still be then. */
export interface DeclarationFile {
  /** As it was given. */
  readonly path: string;
  /** Behind all links: the link stays, and its target is replaced. */
  readonly target: string;
  /** Undefined where it is not there yet. */
  readonly text: string | undefined;
  /** Permissions; undefined where it is not there yet. */
  readonly mode: number | undefined;
}

/** Reads a deployments file. One that is not there is an empty one. */
export const readDeclarationFile = async (path: string): Promise<DeclarationFile> => {
  try {
    const target = await files.realpath(path);
    const [text, { mode }] = await Promise.all([files.readFile(target, "utf8"), files.stat(target)]);
    return { path, target, text, mode: mode & 0o7777 };
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    return { path, target: path, text: undefined, mode: undefined };
  }
};

/**
 * Replaces the file at once: whoever reads sees the text before or the one after, and a crash leaves one of them.
 * @param before what was read, which it must still hold. @param text undefined takes the file away.
 * @throws FileChangedError, and nothing is written then.
 */
export const replaceDeclarationFile = async (
  before: DeclarationFile,
  text: string | undefined,
): Promise<DeclarationFile> => {
  const { target, path, mode } = before;
  const part = `${target}.${process.pid}.part`;
  if (text !== undefined) {
    const handle = await files.open(part, "w", mode ?? 0o644);
    try {
      await handle.writeFile(text);
      // The mask of the process does not count for a file that was there.
      if (mode !== undefined) await handle.chmod(mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  const now = await readDeclarationFile(path);
  if (now.text !== before.text) {
    await files.rm(part, { force: true });
    throw new FileChangedError(path, "nothing was written");
  }
  if (text === undefined) await files.rm(target, { force: true });
  else await files.rename(part, target);
  const folder = await files.open(dirname(target), "r");
  await folder.sync().finally(() => folder.close());
  return { ...before, text };
};

/** `sha256:…` of a declaration's text, as the service tells it. */
export const declarationHash = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;
