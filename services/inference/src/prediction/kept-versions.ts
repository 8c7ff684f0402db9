import { MillraceError, Reason } from "@millrace/errors";

/** How long a version that is not kept is not asked for again, in ms. */
const forgetAfterMs = 30_000;

/**
 * Asks feature-serving for the version of a feature service that a package was trained on, so that a view whose meaning
 * changed since does not reach the model; and for the version in force where that one is not kept any more, which the answer
 * names. A version that is not kept costs one more call now and then, not one a prediction.
 */
export class KeptVersions {
  readonly #notKept = new Map<string, number>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** @param version empty asks for the version in force. @param ask is called with the version to ask for. */
  async ask<T>(service: string, version: string, ask: (version: string) => Promise<T>): Promise<T> {
    const id = `${service}@${version}`;
    const missingSinceMs = this.#notKept.get(id);
    const isMissing = missingSinceMs !== undefined && this.#nowMs() - missingSinceMs < forgetAfterMs;
    if (version === "" || isMissing) return ask("");
    try {
      const answer = await ask(version);
      this.#notKept.delete(id);
      return answer;
    } catch (error) {
      if (!isVersionUnknown(error)) throw error;
      this.#notKept.set(id, this.#nowMs());
      return ask("");
    }
  }
}

const isVersionUnknown = (error: unknown): boolean =>
  error instanceof MillraceError &&
  error.reason === Reason.FEATURE_SERVICE_UNKNOWN &&
  (error.details.violations ?? []).some(({ field }) => field === "feature_service_version");
