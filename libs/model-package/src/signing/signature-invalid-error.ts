import { MillraceError, Reason } from "@millrace/errors";

/**
 * Thrown when none of a package's signatures is by a trusted key: there is none, each is by another key or for another
 * digest, or its bytes were changed. The message says which.
 */
export class SignatureInvalidError extends MillraceError {
  constructor(reference: string, keyNames: readonly string[], why: string) {
    super(
      "FAILED_PRECONDITION",
      Reason.SIGNATURE_INVALID,
      `The package ${reference} is not signed by a trusted key (${keyNames.join(", ")}): ${why}.`,
      { resource: { kind: "model package", name: reference }, metadata: { package: reference, why } },
    );
  }
}
