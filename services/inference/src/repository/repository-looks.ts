import type { FoundModel } from "./found-model.ts";

/** What a look at the sources found to be done. */
export interface RepositoryChanges {
  /** New or changed, and unchanged since the look before. */
  readonly changed: readonly FoundModel[];
  /** Gone, also at the look before. */
  readonly gone: readonly string[];
}

/**
 * Compares looks at the sources. A change counts when two looks in a row have seen the same: a file that is still being
 * copied has another size or time at each.
 */
export class RepositoryLooks {
  /** By name: the fingerprint that was last acted on. */
  readonly #acted = new Map<string, string>();
  #seen = new Map<string, string>();

  /** Says that a model was loaded, or tried to be, as it was found. It is tried anew only when it changes. */
  act({ name, fingerprint }: Pick<FoundModel, "name" | "fingerprint">): void {
    this.#acted.set(name, fingerprint);
  }

  look(found: ReadonlyMap<string, FoundModel>): RepositoryChanges {
    const before = this.#seen;
    this.#seen = new Map([...found].map(([name, { fingerprint }]) => [name, fingerprint]));
    const changed = [...found.values()].filter(
      ({ name, fingerprint }) => this.#acted.get(name) !== fingerprint && before.get(name) === fingerprint,
    );
    const gone = [...this.#acted.keys()].filter((name) => !found.has(name) && !before.has(name));
    for (const model of changed) this.act(model);
    for (const name of gone) this.#acted.delete(name);
    return { changed, gone };
  }
}
