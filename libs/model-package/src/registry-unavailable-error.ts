import { MillraceError, type MillraceErrorCode, Reason } from "@millrace/errors";

/**
 * Thrown when an OCI registry does not answer (UNAVAILABLE, may be tried again) or refuses the call (UNAUTHENTICATED,
 * PERMISSION_DENIED, FAILED_PRECONDITION).
 */
export class RegistryUnavailableError extends MillraceError {
  /** The registry's own codes for what is wrong, such as DENIED; none where it gave none. */
  readonly registryCodes: readonly string[];

  constructor(
    registry: string,
    what: string,
    options: { code?: MillraceErrorCode; registryCodes?: readonly string[]; cause?: unknown } = {},
  ) {
    const code = options.code ?? "UNAVAILABLE";
    super(code, Reason.REGISTRY_UNAVAILABLE, `The registry ${registry} ${what}.`, {
      resource: { kind: "registry", name: registry },
      ...(code === "UNAVAILABLE" ? { retryAfterMs: 1000 } : {}),
      ...(options.cause === undefined ? {} : { cause: options.cause }),
    });
    this.registryCodes = options.registryCodes ?? [];
  }
}
