import { MillraceError, type MillraceErrorCode, Reason } from "@millrace/errors";

/** Thrown when a region of shared memory is unknown, taken, or does not hold what is asked for. */
export class SharedMemoryInvalidError extends MillraceError {
  constructor(code: MillraceErrorCode, field: string, expected: string, got: string) {
    super(code, Reason.SHARED_MEMORY_INVALID, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}

/** Thrown where shared memory is asked for and the service was not told to use it. */
export class SharedMemoryOffError extends MillraceError {
  constructor() {
    super(
      "UNIMPLEMENTED",
      Reason.UNIMPLEMENTED,
      "System shared memory is off: the setting systemSharedMemory turns it on. Whoever may call can then read and write the regions that they name below /dev/shm.",
    );
  }
}
