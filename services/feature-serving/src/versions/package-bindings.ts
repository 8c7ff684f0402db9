import { type ModelStore, openModelStore } from "@millrace/model-package";

/** A model package that reads a version of a feature service. */
export interface PackageBinding {
  /** `repository:tag@sha256:…`. */
  readonly reference: string;
  readonly service: string;
  readonly version: string;
  /** `view__feature`, or columns of the request. */
  readonly features: readonly string[];
}

/** The packages of a model store that read feature services. Each manifest is read once: a digest never changes. */
export class PackageBindings {
  readonly #url: string;
  readonly #byDigest = new Map<string, Omit<PackageBinding, "reference"> | undefined>();
  #store: Promise<ModelStore> | undefined;
  #held: { readonly atMs: number; readonly bindings: Promise<PackageBinding[]> } | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  /**
   * All tagged packages that read a feature service.
   * @param freshMs how old an answer may be, in ms. @throws what the store throws.
   */
  list(freshMs = 0): Promise<PackageBinding[]> {
    const nowMs = Date.now();
    if (this.#held === undefined || nowMs - this.#held.atMs > freshMs) {
      const bindings = this.#list();
      this.#held = { atMs: nowMs, bindings };
      bindings.catch(() => {
        this.#held = undefined;
      });
    }
    return this.#held.bindings;
  }

  async close(): Promise<void> {
    await (await this.#store)?.close();
  }

  async #list(): Promise<PackageBinding[]> {
    this.#store ??= openModelStore(this.#url);
    const store = await this.#store;
    const found: PackageBinding[] = [];
    for (const repository of await store.repositories()) {
      for (const [tag, digest] of await store.packageTags(repository)) {
        const id = `${repository}@${digest}`;
        if (!this.#byDigest.has(id)) {
          const { features } = (await store.pull(id)).manifest;
          const binding = features && {
            service: features.featureService,
            version: features.featureServiceVersion,
            features: features.inputs.map(({ feature }) => feature),
          };
          this.#byDigest.set(id, binding);
        }
        const binding = this.#byDigest.get(id);
        if (binding !== undefined) found.push({ ...binding, reference: `${repository}:${tag}@${digest}` });
      }
    }
    return found;
  }
}
