import { MillraceError, type MillraceErrorCode, Reason } from "@millrace/errors";

/**
 * Thrown when an OCI registry does not answer (UNAVAILABLE, may be tried again) or refuses the call (UNAUTHENTICATED,
 * PERMISSION_DENIED, FAILED_PRECONDITION).
 */
export class RegistryUnavailableError extends MillraceError {
  constructor(registry: string, what: string, options: { code?: MillraceErrorCode; cause?: unknown } = {}) {
    const code = options.code ?? "UNAVAILABLE";
    super(code, Reason.REGISTRY_UNAVAILABLE, `The registry ${registry} ${what}.`, {
      resource: { kind: "registry", name: registry },
      ...(code === "UNAVAILABLE" ? { retryAfterMs: 1000 } : {}),
      ...(options.cause === undefined ? {} : { cause: options.cause }),
    });
  }
}
