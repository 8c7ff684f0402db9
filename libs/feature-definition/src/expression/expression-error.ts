import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when an expression does not parse, does not type-check, or uses what the subset lacks. */
export class ExpressionInvalidError extends MillraceError {
  readonly expression: string;
  readonly explanation: string;

  /**
   * @param explanation what is wrong, without a full stop, such as `column "dely" does not exist`.
   * @param position the character of the expression, counted from 1, where it is known.
   */
  constructor(expression: string, explanation: string, position?: number) {
    const at = position === undefined || position < 1 ? "" : ` at character ${position}`;
    super(
      "INVALID_ARGUMENT",
      Reason.EXPRESSION_INVALID,
      `The expression ${JSON.stringify(expression)}: ${explanation}${at}.`,
    );
    this.expression = expression;
    this.explanation = `${explanation}${at}`;
  }
}

/** Thrown by `CompiledExpression.evaluate` for one row whose value cannot be computed. That row's value is null. */
export class ExpressionEvaluationError extends MillraceError {
  constructor(explanation: string) {
    super("OUT_OF_RANGE", Reason.EXPRESSION_FAILED, `${explanation}.`);
  }
}
