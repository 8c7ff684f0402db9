import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a text is no protobuf text format, or does not fit the message that it is to be. It names the place. */
export class TextFormatError extends MillraceError {
  /** Both count from 1. */
  readonly line: number;
  readonly column: number;

  constructor(file: string, place: { readonly line: number; readonly column: number }, expected: string, got: string) {
    const { line, column } = place;
    super(
      "FAILED_PRECONDITION",
      Reason.MODEL_INVALID,
      `${file}, line ${line}, column ${column}: expected ${expected}, got ${got}.`,
      { violations: [{ field: `${file}:${line}:${column}`, expected, got }] },
    );
    this.line = line;
    this.column = column;
  }
}
