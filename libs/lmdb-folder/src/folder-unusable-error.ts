import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a folder is opened that cannot be made, cannot be written, or holds something else than it should. */
export class FolderUnusableError extends MillraceError {
  constructor(folder: string, why: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.FOLDER_UNUSABLE, `The folder ${folder} cannot be used: ${why}.`, {
      resource: { kind: "folder", name: folder },
      cause,
    });
  }
}
