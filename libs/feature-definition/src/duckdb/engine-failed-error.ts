import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when DuckDB refuses or fails: an INT64 sum that overflows, memory that does not suffice, a disk that is full. */
export class EngineFailedError extends MillraceError {
  /** @param explanation what failed, in words of ours; the driver's own text stays in the cause. */
  constructor(explanation: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.ENGINE_FAILED, explanation, { cause });
  }
}
