import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/**
 * Thrown when definitions are malformed or do not fit each other. It lists all problems that were found; each names the
 * file, where one is known, and the path within it.
 */
export class DefinitionInvalidError extends MillraceError {
  readonly problems: readonly FieldViolation[];

  constructor(problems: readonly FieldViolation[]) {
    const lines = problems.map(({ field, expected, got }) => `  ${field}: expected ${expected}, got ${got}`);
    const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
    super("INVALID_ARGUMENT", Reason.DEFINITION_INVALID, `The feature repository has ${count}:\n${lines.join("\n")}`, {
      violations: problems,
    });
    this.problems = problems;
  }
}
