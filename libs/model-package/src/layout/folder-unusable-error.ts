import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the folder of a layout cannot be read or written, or its index is not what it should be. */
export class FolderUnusableError extends MillraceError {
  constructor(folder: string, why: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.FOLDER_UNUSABLE, `The model store's folder ${folder} cannot be used: ${why}.`, {
      resource: { kind: "folder", name: folder },
      cause,
    });
  }
}
