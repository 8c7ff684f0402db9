import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { ModelStore } from "@millrace/model-package";
import type { ModelRoster, VersionRecord } from "../serving/model-roster.ts";
import { pause } from "../serving/pause.ts";

/** What the watch of tags tells, for the log. */
export interface TagWatchObserver {
  onMoved(model: string, version: string, reference: string, from: string, to: string): void;
  /** A tag could not be looked up, for another reason than the time before. */
  onFailed(reference: string, error: unknown): void;
}

/**
 * Looks from time to time whether the tags that versions were deployed by still mean the packages that serve. A tag was
 * resolved once: where it has moved that is told, in the log and in the status, and nothing is loaded.
 */
export class TagWatch {
  readonly #roster: ModelRoster;
  readonly #store: Pick<ModelStore, "resolve">;
  readonly #periodMs: number;
  readonly #observer: TagWatchObserver;
  /** Where each tag was last seen, and why it could not be. */
  readonly #seen = new WeakMap<VersionRecord, string>();

  /** @param periodMs 0 looks never. */
  constructor(roster: ModelRoster, store: Pick<ModelStore, "resolve">, periodMs: number, observer: TagWatchObserver) {
    this.#roster = roster;
    this.#store = store;
    this.#periodMs = periodMs;
    this.#observer = observer;
  }

  /** Looks at every tag once. Called by `run`. */
  async look(signal?: AbortSignal): Promise<void> {
    for (const model of this.#roster.names()) {
      for (const record of this.#roster.records(model)) {
        if (record.state === State.READY && isByTag(record)) await this.#lookAt(model, record, signal);
      }
    }
  }

  /** Looks again and again until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (this.#periodMs > 0 && !signal.aborted) {
      await pause(this.#periodMs, signal);
      if (!signal.aborted) await this.look(signal);
    }
  }

  async #lookAt(model: string, record: VersionRecord, signal: AbortSignal | undefined): Promise<void> {
    const { reference, version, digest } = record;
    let seen: string;
    try {
      seen = (await this.#store.resolve(reference, signal)).digest;
    } catch (error) {
      if (signal?.aborted === true) return;
      seen = error instanceof Error ? error.message : String(error);
      if (this.#seen.get(record) !== seen) this.#observer.onFailed(reference, error);
      this.#seen.set(record, seen);
      return;
    }
    if (record.state !== State.READY || this.#seen.get(record) === seen) return;
    const hadMoved = record.message !== "";
    this.#seen.set(record, seen);
    if (seen === digest) {
      if (hadMoved) this.#roster.note(record, "");
      return;
    }
    this.#roster.note(
      record,
      `The tag has moved to ${seen}; the version stays on the package that it was loaded from.`,
    );
    this.#observer.onMoved(model, version, reference, digest, seen);
  }
}

/** A package of a store has a digest, a model file and a pipeline have none. */
const isByTag = ({ reference, digest }: VersionRecord): boolean => digest !== "" && !reference.includes("@");
