import { MillraceError, Reason } from "@millrace/errors";

/**
 * Thrown when the bytes of a stored package are not those that its digest or size names (DATA_LOSS). The blob must be
 * pushed again; reading again does not help.
 */
export class PackageCorruptError extends MillraceError {
  constructor(blob: string, expected: string, got: string) {
    super("DATA_LOSS", Reason.PACKAGE_CORRUPT, `The blob ${blob} is corrupt: expected ${expected}, got ${got}.`, {
      metadata: { blob },
      resource: { kind: "blob", name: blob },
    });
  }
}
