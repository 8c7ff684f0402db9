import type { FieldViolation } from "@millrace/errors";
import { ExpressionInvalidError } from "./expression/expression-error.ts";

/** Collects what is wrong with a repository, so that all of it can be told at once. */
export class Problems {
  readonly found: FieldViolation[] = [];

  add(field: string, expected: string, got: string): void {
    this.found.push({ field, expected, got });
  }

  /** The value of a compilation; undefined, with the problem noted, if the expression is invalid. */
  expression<T>(field: string, compile: () => T): T | undefined {
    try {
      return compile();
    } catch (error) {
      if (!(error instanceof ExpressionInvalidError)) throw error;
      this.add(
        field,
        "an expression of the PostgreSQL subset that fits",
        `${JSON.stringify(error.expression)}: ${error.explanation}`,
      );
      return undefined;
    }
  }
}
