import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";
import type { Servable } from "./servable.ts";
import { ModelNotReadyError, ModelUnknownError } from "./serving-errors.ts";
import { chooseVersion, highestVersion, type RoutingKeys, shareOf, type TrafficRules } from "./traffic-rules.ts";

/** A declaration of a name that is newer than the one in force. */
export interface PendingDeclaration {
  readonly hash: string;
  /** Why it is not in force. */
  readonly message: string;
}

/** What is known of one version of a model, served or not. */
export interface VersionRecord {
  readonly version: string;
  readonly reference: string;
  digest: string;
  /** The key that signed the package, where a signature was demanded. */
  signedBy: string;
  state: State;
  /** A reason's word and a sentence, where it failed. */
  reason: string;
  message: string;
  sinceMs: number;
  served: Servable | undefined;
}

/** The newest text of the file that declares what is served. */
export interface NewestDeclaration {
  /** `sha256:…` of the text; empty where there is none. */
  readonly hash: string;
  /** Why nothing of it is put in force; empty where it was taken up. */
  readonly message: string;
  /** A reason's word; empty where it was taken up. */
  readonly reason: string;
  readonly violations: readonly FieldViolation[];
  readonly sinceMs: number;
}

/** A model name: the versions that are ready, who of them answers, and what else is known. */
interface Entry {
  /** Ready, the lowest version first. */
  ready: readonly Servable[];
  rules: TrafficRules;
  readonly records: VersionRecord[];
  declarationHash: string;
  pending: PendingDeclaration | undefined;
}

/** Retired and failed versions that a status still tells of. */
const keptRecords = 4;

/**
 * Who serves what: the one place that a call looks a model up in, and that a change is put in force in. A swap is one
 * assignment: a call sees the old versions or the new ones, and what left drains afterwards.
 */
export class ModelRoster {
  readonly #entries = new Map<string, Entry>();
  readonly #watchers = new Set<() => void>();
  #newest: NewestDeclaration | undefined;

  /**
   * Who answers a call.
   * @param version empty for whoever the traffic rules choose.
   * @param keys what the call can be told apart by; without them the version with most of the traffic is meant.
   * @throws ModelUnknownError, ModelNotReadyError
   */
  find(name: string, version: string, keys?: RoutingKeys): Servable {
    const entry = this.#entries.get(name);
    if (entry !== undefined && entry.ready.length > 0) {
      const served =
        version === ""
          ? chooseVersion(entry.ready, entry.rules, keys)
          : entry.ready.find((served) => served.version === version);
      if (served !== undefined) {
        if (served.alive) return served;
        const why = served.whyNotAlive ?? "Each of its workers is wedged or was lost.";
        throw new ModelNotReadyError(name, served.version, "unavailable", why);
      }
    }
    throw this.#notFound(name, version, entry);
  }

  #notFound(name: string, version: string, entry: Entry | undefined): MillraceError {
    if (!/^\d*$/.test(version)) {
      return new MillraceError(
        "INVALID_ARGUMENT",
        Reason.FIELD_INVALID,
        `model_version: expected a decimal integer, or nothing for the version in force; got ${version}.`,
        { violations: [{ field: "model_version", expected: "a decimal integer or nothing", got: version }] },
      );
    }
    const record = entry?.records.findLast(
      (record) => (version === "" || record.version === version) && record.state !== State.UNLOADED,
    );
    if (record === undefined) return new ModelUnknownError(name, version, this.names());
    if (record.state === State.READY) {
      return new ModelNotReadyError(name, "", "unavailable", "None of its versions that have traffic can run.");
    }
    return new ModelNotReadyError(name, record.version, stateWord(record.state), record.message);
  }

  /** The versions that get a copy of a call that another one answered. */
  shadowsOf({ name, version }: Servable): readonly Servable[] {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.rules.shadows.length === 0) return [];
    return entry.ready.filter((served) => served.version !== version && entry.rules.shadows.includes(served.version));
  }

  /** The names that are known and not unloaded, sorted. */
  names(): string[] {
    return [...this.#entries]
      .filter(([, { records }]) => records.some(({ state }) => state !== State.UNLOADED))
      .map(([name]) => name)
      .sort();
  }

  /** Everything that is ready, by name, the lowest version first. */
  served(): Servable[] {
    return this.names().flatMap((name) => this.versions(name));
  }

  /** What is ready behind a name, the lowest version first. */
  versions(name: string): readonly Servable[] {
    return this.#entries.get(name)?.ready ?? [];
  }

  /** What is known of a name, the oldest record first. */
  records(name: string): readonly VersionRecord[] {
    return this.#entries.get(name)?.records ?? [];
  }

  rules(name: string): TrafficRules {
    return this.#entries.get(name)?.rules ?? highestVersion;
  }

  /** Share of the traffic of a record's version, 0 to 1. */
  share(name: string, record: VersionRecord): number {
    const entry = this.#entries.get(name);
    if (entry === undefined || record.state !== State.READY) return 0;
    return shareOf(
      record.version,
      entry.ready.map(({ version }) => version),
      entry.rules,
    );
  }

  /** Whether a call that names no version has someone to answer it. */
  answers(name: string): boolean {
    const entry = this.#entries.get(name);
    return entry !== undefined && chooseVersion(entry.ready, entry.rules, undefined)?.alive === true;
  }

  /** The hash of the declaration in force; empty where there is none. */
  declarationHash(name: string): string {
    return this.#entries.get(name)?.declarationHash ?? "";
  }

  pending(name: string): PendingDeclaration | undefined {
    return this.#entries.get(name)?.pending;
  }

  /** The newest declaration of what is served; undefined where no file declares it. */
  get newest(): NewestDeclaration | undefined {
    return this.#newest;
  }

  /** Tells what became of the newest declaration. */
  tell(newest: NewestDeclaration): void {
    this.#newest = newest;
    this.#changed();
  }

  /** Begins to tell of a version that is about to be loaded. */
  begin(name: string, version: string, reference: string): VersionRecord {
    const entry = this.#entry(name);
    const record: VersionRecord = {
      version,
      reference,
      digest: "",
      signedBy: "",
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

  /** Has the status say a sentence of a version, whose state stays. */
  note(record: VersionRecord, message: string): void {
    record.message = message;
    this.#changed();
  }

  /** Says who answers from now on, and under which declaration; empty where there is none. */
  direct(name: string, rules: TrafficRules, declarationHash = ""): void {
    const entry = this.#entry(name);
    entry.rules = rules;
    entry.declarationHash = declarationHash;
    entry.pending = undefined;
    this.#changed();
  }

  /** Tells of a declaration that is not in force yet. `direct` ends that. */
  pend(name: string, hash: string, message: string): void {
    const entry = this.#entry(name);
    if (entry.pending?.hash === hash && entry.pending.message === message) return;
    entry.pending = { hash, message };
    this.#changed();
  }

  /**
   * Makes a version ready, at once; one of the same number that was ready drains and is freed. Other versions stay: see
   * `retain`. Resolves when what it replaced is gone.
   */
  async serve(name: string, record: VersionRecord, served: Servable): Promise<void> {
    const entry = this.#entry(name);
    // One that still drains is on its way out already, and another may have come between.
    const before = entry.records.filter(
      (other) =>
        other !== record &&
        other.version === record.version &&
        other.served !== undefined &&
        other.state !== State.DRAINING,
    );
    record.served = served;
    record.digest = served.origin.digest;
    entry.ready = [...entry.ready.filter(({ version }) => version !== served.version), served].sort(
      (a, b) => Number(a.version) - Number(b.version),
    );
    this.update(record, State.READY);
    await Promise.all(before.map((other) => this.#retire(other)));
  }

  /** Takes the versions that are not named out of service; what they have taken is answered. Resolves when they are gone. */
  async retain(name: string, versions: readonly string[]): Promise<void> {
    const entry = this.#entry(name);
    entry.ready = entry.ready.filter(({ version }) => versions.includes(version));
    const leaving = entry.records.filter(
      ({ version, served, state }) => served !== undefined && state !== State.DRAINING && !versions.includes(version),
    );
    await Promise.all(leaving.map((record) => this.#retire(record)));
  }

  /** Takes a version out of service for a reason; what it has taken is answered. Resolves when it is gone. */
  async fail(name: string, record: VersionRecord, error: MillraceError): Promise<void> {
    const { served } = record;
    const entry = this.#entry(name);
    entry.ready = entry.ready.filter((other) => other !== served);
    record.served = undefined;
    this.update(record, State.FAILED, error);
    await served?.retire();
  }

  /** Takes a model out of service: no new call finds it, those under way are answered. */
  async unload(name: string): Promise<void> {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new ModelUnknownError(name, "", this.names());
    for (const record of entry.records) if (record.state === State.FAILED) this.update(record, State.UNLOADED);
    await this.retain(name, []);
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

  #entry(name: string): Entry {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = { ready: [], rules: highestVersion, records: [], declarationHash: "", pending: undefined };
      this.#entries.set(name, entry);
    }
    return entry;
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
const stateWord = (state: State): string => stateWords.get(state) ?? "unknown";
