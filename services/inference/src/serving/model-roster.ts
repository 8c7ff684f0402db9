import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { ServedVersion } from "./served-version.ts";
import { ModelNotReadyError, ModelUnknownError } from "./serving-errors.ts";

/** What is known of one version of a model, served or not. */
export interface VersionRecord {
  readonly version: string;
  readonly reference: string;
  digest: string;
  state: State;
  /** A reason's word and a sentence, where it failed. */
  reason: string;
  message: string;
  sinceMs: number;
  served: ServedVersion | undefined;
}

/** A model name: the version that answers, and what else is known. */
interface Entry {
  active: VersionRecord | undefined;
  readonly records: VersionRecord[];
  declarationHash: string;
}

/** Retired and failed versions that a status still tells of. */
const keptRecords = 4;

/**
 * Who serves what: the one place that a call looks a model up in, and that a change is put in force in. A swap is one
 * assignment: a call sees the old version or the new one, and the old one drains afterwards.
 */
export class ModelRoster {
  readonly #entries = new Map<string, Entry>();
  readonly #watchers = new Set<() => void>();

  /**
   * The version that answers for a name.
   * @param version empty for the one in force.
   * @throws ModelUnknownError, ModelNotReadyError
   */
  find(name: string, version: string): ServedVersion {
    const entry = this.#entries.get(name);
    const active = entry?.active;
    if (active?.served !== undefined && (version === "" || version === active.version)) {
      if (!active.served.lane.alive) {
        throw new ModelNotReadyError(name, active.version, "unavailable", "Each of its workers is wedged or was lost.");
      }
      return active.served;
    }
    if (!/^\d*$/.test(version)) {
      throw new MillraceError(
        "INVALID_ARGUMENT",
        Reason.FIELD_INVALID,
        `model_version: expected a decimal integer, or nothing for the version in force; got ${version}.`,
        { violations: [{ field: "model_version", expected: "a decimal integer or nothing", got: version }] },
      );
    }
    const record = entry?.records.findLast(
      (record) => (version === "" || record.version === version) && record.state !== State.UNLOADED,
    );
    if (record === undefined) throw new ModelUnknownError(name, version, this.names());
    throw new ModelNotReadyError(name, record.version, stateWord(record.state), record.message);
  }

  /** The names that are known and not unloaded, sorted. */
  names(): string[] {
    return [...this.#entries]
      .filter(([, { records }]) => records.some(({ state }) => state !== State.UNLOADED))
      .map(([name]) => name)
      .sort();
  }

  /** Every version that answers, by name. */
  served(): ServedVersion[] {
    return this.names().flatMap((name) => this.#entries.get(name)?.active?.served ?? []);
  }

  /** What is known of a name, the oldest version first. */
  records(name: string): readonly VersionRecord[] {
    return this.#entries.get(name)?.records ?? [];
  }

  active(name: string): VersionRecord | undefined {
    return this.#entries.get(name)?.active;
  }

  declarationHash(name: string): string {
    return this.#entries.get(name)?.declarationHash ?? "";
  }

  /** Begins to tell of a version that is about to be loaded. */
  begin(name: string, version: string, reference: string, declarationHash = ""): VersionRecord {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = { active: undefined, records: [], declarationHash };
      this.#entries.set(name, entry);
    }
    entry.declarationHash = declarationHash;
    const record: VersionRecord = {
      version,
      reference,
      digest: "",
      state: State.LOADING,
      reason: "",
      message: "",
      sinceMs: Date.now(),
      served: undefined,
    };
    entry.records.push(record);
    const over = entry.records.filter(({ state }) => state === State.FAILED || state === State.UNLOADED);
    for (const old of over.slice(0, Math.max(0, over.length - keptRecords))) {
      entry.records.splice(entry.records.indexOf(old), 1);
    }
    this.#changed();
    return record;
  }

  /** Records a further step of a version. */
  update(record: VersionRecord, state: State, error?: MillraceError): void {
    record.state = state;
    record.sinceMs = Date.now();
    record.reason = error?.reasonName ?? "";
    record.message = error?.message ?? "";
    this.#changed();
  }

  /** Records under which declaration a name stands, where its version stays as it is. */
  declare(name: string, declarationHash: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.declarationHash === declarationHash) return;
    entry.declarationHash = declarationHash;
    this.#changed();
  }

  /** Puts a version in force, at once; the one before drains and is freed. Resolves when it is gone. */
  async serve(name: string, record: VersionRecord, served: ServedVersion): Promise<void> {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new RangeError(`The roster knows no ${name}.`);
    const before = entry.active;
    record.served = served;
    record.digest = served.origin.digest;
    entry.active = record;
    this.update(record, State.READY);
    if (before !== undefined) await this.#retire(before);
  }

  /** Takes a model out of service: no new call finds it, those under way are answered. */
  async unload(name: string): Promise<void> {
    const entry = this.#entries.get(name);
    const before = entry?.active;
    if (entry === undefined) throw new ModelUnknownError(name, "", this.names());
    entry.active = undefined;
    for (const record of entry.records) {
      if (record !== before && record.state === State.FAILED) this.update(record, State.UNLOADED);
    }
    if (before !== undefined) await this.#retire(before);
  }

  /** Calls back after each change, until the answered function is called. */
  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  /** Drains and frees every model. One that is wedged in a run is waited for no longer than the limit, in ms. */
  async close(limitMs = 15_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([Promise.all(this.names().map((name) => this.unload(name))), limit]);
    clearTimeout(timer);
  }

  async #retire(record: VersionRecord): Promise<void> {
    this.update(record, State.DRAINING);
    await record.served?.retire();
    record.served = undefined;
    this.update(record, State.UNLOADED);
  }

  #changed(): void {
    for (const onChange of this.#watchers) onChange();
  }
}

const stateWords = new Map<number, string>(
  Object.entries(State).map(([word, state]) => [state, word.toLowerCase().replaceAll("_", " ")]),
);

/** A state in a sentence: `loading`. */
export const stateWord = (state: State): string => stateWords.get(state) ?? "unknown";
