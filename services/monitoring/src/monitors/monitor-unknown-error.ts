import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when nothing of this model was ever seen, or a prediction, window or report of this name does not exist. */
export class MonitorUnknownError extends MillraceError {
  constructor(kind: string, name: string) {
    super("NOT_FOUND", Reason.MONITOR_UNKNOWN, `Monitoring knows no ${kind} \`${name}\`.`, {
      resource: { kind, name },
    });
  }
}
