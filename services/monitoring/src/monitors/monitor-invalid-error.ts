import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/** Thrown when a monitor's definition cannot be put in force. Lists every field that is wrong. */
export class MonitorInvalidError extends MillraceError {
  constructor(violations: readonly FieldViolation[]) {
    const [first] = violations;
    super(
      "INVALID_ARGUMENT",
      Reason.MONITOR_INVALID,
      first === undefined
        ? "The monitor cannot be put in force."
        : `The monitor cannot be put in force: ${first.field} is ${first.got}, expected ${first.expected}.`,
      { violations },
    );
  }
}
