import { MillraceError, Reason } from "@millrace/errors";

/**
 * Thrown when the bytes are those that the digest names and still are no package that we can use (FAILED_PRECONDITION):
 * not JSON, another artifact type, a part missing, a file path that leaves the package.
 */
export class PackageMalformedError extends MillraceError {
  constructor(what: string, expected: string, got: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.PACKAGE_CORRUPT, `${what} is malformed: expected ${expected}, got ${got}.`, {
      metadata: { blob: what },
      resource: { kind: "model package", name: what },
      cause,
    });
  }
}
