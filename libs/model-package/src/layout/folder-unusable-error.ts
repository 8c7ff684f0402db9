import { MillraceError, Reason } from "@millrace/errors";

/** The system's names for a disk without space, and for a user who may not take more of it. */
const fullCodes: readonly string[] = ["ENOSPC", "EDQUOT"];

/**
 * Thrown when the folder of a layout cannot be read or written, or its index is not what it should be
 * (FAILED_PRECONDITION); when there is no space left for what is written, RESOURCE_EXHAUSTED.
 */
export class FolderUnusableError extends MillraceError {
  constructor(folder: string, why: string, cause?: unknown) {
    const full = fullCodes.includes(why);
    super(
      full ? "RESOURCE_EXHAUSTED" : "FAILED_PRECONDITION",
      Reason.FOLDER_UNUSABLE,
      `The model store's folder ${folder} cannot be used: ${full ? `its disk is full (${why})` : why}.`,
      { resource: { kind: "folder", name: folder }, cause },
    );
  }
}
