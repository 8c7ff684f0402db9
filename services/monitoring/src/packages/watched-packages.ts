import { MillraceError } from "@millrace/errors";
import type { ModelStore } from "@millrace/model-package";
import { unwatchedPackage, type WatchedPackage, watchedPackage } from "./watched-package.ts";

/** How long to wait before a store that did not answer is asked again, in ms; doubled each time. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;
/** Packages kept in memory; the one that was not asked for the longest goes first. */
const KEPT = 64;

/** The packages that predictions name, read once from the model store. */
export class WatchedPackages {
  readonly #store: ModelStore;
  readonly #signal: AbortSignal;
  readonly #onRetry: (reference: string, error: unknown) => void;
  readonly #kept = new Map<string, Promise<WatchedPackage>>();

  /** @param signal stops waiting for a store that does not answer. */
  constructor(store: ModelStore, signal: AbortSignal, onRetry: (reference: string, error: unknown) => void = () => {}) {
    this.#store = store;
    this.#signal = signal;
    this.#onRetry = onRetry;
  }

  /**
   * The package of a digest. One that does not exist, or is damaged, is answered as unwatched with the reason; a store
   * that does not answer is waited for, since a count without its baseline could not be made good later.
   */
  get(repository: string, digest: string): Promise<WatchedPackage> {
    if (digest === "")
      return Promise.resolve(unwatchedPackage("The model is a bare file without a package, so it has no baseline."));
    const reference = `${repository}@${digest}`;
    const kept = this.#kept.get(reference);
    if (kept !== undefined) {
      this.#kept.delete(reference);
      this.#kept.set(reference, kept);
      return kept;
    }
    const reading = this.#read(reference);
    this.#kept.set(reference, reading);
    reading.catch(() => this.#kept.delete(reference));
    const oldest = this.#kept.keys().next().value;
    if (this.#kept.size > KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return reading;
  }

  async #read(reference: string): Promise<WatchedPackage> {
    for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(2 * waitMs, LAST_RETRY_MS)) {
      try {
        const reader = await this.#store.pull(reference, ["baseline"], this.#signal);
        return watchedPackage(reader.manifest, await reader.baseline(this.#signal));
      } catch (error) {
        this.#signal.throwIfAborted();
        if (!(error instanceof MillraceError)) throw error;
        if (error.code !== "UNAVAILABLE") return unwatchedPackage(error.message);
        this.#onRetry(reference, error);
        await delay(waitMs, this.#signal);
      }
    }
  }
}

const delay = (waitMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, waitMs);
    signal.addEventListener("abort", stop, { once: true });
  });
