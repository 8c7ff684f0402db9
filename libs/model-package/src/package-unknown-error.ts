import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a reference names no package: the repository, the tag or the digest is not in the store. */
export class PackageUnknownError extends MillraceError {
  constructor(reference: string, why: string) {
    super("NOT_FOUND", Reason.PACKAGE_UNKNOWN, `There is no model package ${reference}: ${why}.`, {
      resource: { kind: "model package", name: reference },
    });
  }
}
