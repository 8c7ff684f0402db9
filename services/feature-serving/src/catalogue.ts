import { MillraceError, Reason } from "@millrace/errors";
import {
  type CompiledSource,
  compileReferences,
  FeatureServiceUnknownError,
  FeatureUnknownError,
} from "@millrace/feature-definition";
import { LRUCache } from "lru-cache";
import {
  type AppliedDefinitions,
  assembleDefinitions,
  type LoadedDefinitions,
  loadDefinitions,
} from "./applied-definitions.ts";
import { type FeaturePlan, planFeatures } from "./feature-plan.ts";
import { type HeldRegistry, type Registry, RegistryDamagedError } from "./registry.ts";
import { definitionsOf } from "./registry-head.ts";

/** Thrown when features are asked for before anything was applied. */
export class NothingAppliedError extends MillraceError {
  constructor() {
    super("FAILED_PRECONDITION", Reason.NOTHING_APPLIED, "No feature repository is applied yet: call Apply first.");
  }
}

/** Thrown when no source of the name is applied, or when it has no topic and one is needed. */
export class SourceUnknownError extends MillraceError {
  constructor(name: string, known: readonly string[], detail?: string) {
    super(
      "NOT_FOUND",
      Reason.SOURCE_UNKNOWN,
      detail ?? `No source ${name} is applied; there is ${known.join(", ") || "none"}.`,
      { resource: { kind: "source", name } },
    );
  }
}

/** Thrown when no feature view of the name is applied. */
export class FeatureViewUnknownError extends MillraceError {
  constructor(name: string, known: readonly string[]) {
    super(
      "NOT_FOUND",
      Reason.FEATURE_UNKNOWN,
      `No feature view ${name} is applied; there is ${known.join(", ") || "none"}.`,
      { resource: { kind: "feature view", name } },
    );
  }
}

/** Thrown when a version of a feature service is asked for that is not kept. */
export class FeatureServiceVersionUnknownError extends MillraceError {
  constructor(name: string, version: string, known: readonly string[]) {
    super(
      "NOT_FOUND",
      Reason.FEATURE_SERVICE_UNKNOWN,
      `The version ${version} of the feature service ${name} is not kept; there is ${known.join(", ")}.`,
      {
        resource: { kind: "feature service", name: `${name}@${version}` },
        violations: [{ field: "feature_service_version", expected: `one of ${known.join(", ")}`, got: version }],
      },
    );
  }
}

/** Selections of single features whose plans are kept. */
const mostReferencePlans = 500;

/** Keeps the definitions in force in this process or thread, and notices when others are applied. */
export class Catalogue {
  readonly #registry: Registry;
  readonly #pollMs: number;
  #current: AppliedDefinitions | undefined;
  #refreshing: Promise<void> | undefined;
  /** By hash: compiled once, however often the head changes. */
  readonly #loaded = new Map<string, LoadedDefinitions>();
  /** By the features that are asked for one by one; they go with their definitions. */
  readonly #referencePlans = new WeakMap<AppliedDefinitions, LRUCache<string, FeaturePlan>>();
  readonly #listeners: ((definitions: AppliedDefinitions) => Promise<void>)[] = [];

  constructor(registry: Registry, pollMs = 200) {
    this.#registry = registry;
    this.#pollMs = pollMs;
  }

  /** The definitions in force; undefined before the first Apply. */
  get current(): AppliedDefinitions | undefined {
    return this.#current;
  }

  /** @throws NothingAppliedError */
  definitions(): AppliedDefinitions {
    if (this.#current === undefined) throw new NothingAppliedError();
    return this.#current;
  }

  /** Called, and awaited, before other definitions come into force; where it rejects they do not, and are tried again. */
  onChange(listener: (definitions: AppliedDefinitions) => Promise<void>): void {
    this.#listeners.push(listener);
  }

  /**
   * The plan of a feature service: of the version that answers, or of one that is asked for.
   * @throws NothingAppliedError, FeatureServiceUnknownError, FeatureServiceVersionUnknownError
   */
  servicePlan(name: string, version = ""): FeaturePlan {
    const { plans, versionPlans } = this.definitions();
    const plan = version === "" ? plans.get(name) : versionPlans.get(`${name}@${version}`);
    if (plan !== undefined) return plan;
    const known = knownVersions(versionPlans, name);
    if (version === "" || known.length === 0) throw new FeatureServiceUnknownError(name, [...plans.keys()]);
    throw new FeatureServiceVersionUnknownError(name, version, known);
  }

  /**
   * A plan for references, kept for whoever asks for the same ones: over the older versions of views that fill, unless they lack what is
   * asked for. @throws FeatureUnknownError
   */
  referencesPlan(references: readonly string[]): FeaturePlan {
    const definitions = this.definitions();
    const { repository, answering, streams } = definitions;
    const plans =
      this.#referencePlans.get(definitions) ?? new LRUCache<string, FeaturePlan>({ max: mostReferencePlans });
    this.#referencePlans.set(definitions, plans);
    const asked = `${references.length}\n${references.join("\n")}`;
    const known = plans.get(asked);
    if (known !== undefined) return known;
    const planOver = (over: typeof repository) =>
      planFeatures(over, streams, compileReferences(references, over), "references.features");
    const plan = answering === repository ? planOver(repository) : this.#firstOf([answering, repository], planOver);
    plans.set(asked, plan);
    return plan;
  }

  /** The plan over the first definitions that have all features that it needs. @throws FeatureUnknownError */
  #firstOf<R>([preferred, other]: readonly [R, R], planOver: (over: R) => FeaturePlan): FeaturePlan {
    try {
      return planOver(preferred);
    } catch (error) {
      if (error instanceof FeatureUnknownError) return planOver(other);
      throw error;
    }
  }

  /** @throws SourceUnknownError */
  source(name: string): CompiledSource {
    const { sources } = this.definitions().repository;
    const source = sources.get(name);
    if (source === undefined) throw new SourceUnknownError(name, [...sources.keys()]);
    return source;
  }

  /** Brings what the registry holds into force. */
  async refresh(): Promise<void> {
    while (this.#refreshing !== undefined) await this.#refreshing;
    this.#refreshing = this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  /** Looks at the registry again and again until stopped. A look that fails is told, and tried again. */
  async run(signal: AbortSignal, onFailure: (error: unknown) => void, onLook = () => {}): Promise<void> {
    while (!signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, this.#pollMs);
        signal.addEventListener("abort", done);
      });
      if (signal.aborted) return;
      await this.refresh().then(onLook, onFailure);
    }
  }

  async #refresh(): Promise<void> {
    const held = await this.#registry.read();
    if (held === undefined) return;
    const current = this.#current;
    if (held.entryVersion === current?.entryVersion && isEqual(held.head, current.head)) return;
    if (!(await this.#load(held))) return this.#refresh();
    const definitions = assembleDefinitions(held, this.#loaded);
    for (const listener of this.#listeners) await listener(definitions);
    this.#current = definitions;
    const needed = definitionsOf(held.head);
    for (const hash of this.#loaded.keys()) if (!needed.has(hash)) this.#loaded.delete(hash);
  }

  /** Compiles what the head names and is not loaded yet. Answers false where the head was replaced meanwhile. */
  async #load({ head, entryVersion }: HeldRegistry): Promise<boolean> {
    const missing = [...definitionsOf(head)].filter((hash) => !this.#loaded.has(hash));
    const found = missing.length === 0 ? [] : await this.#registry.definitions(missing);
    for (const [index, hash] of missing.entries()) {
      const declared = found[index];
      if (declared === undefined) {
        if ((await this.#registry.read())?.entryVersion !== entryVersion) return false;
        throw new RegistryDamagedError(hash);
      }
      this.#loaded.set(hash, loadDefinitions(declared));
    }
    return true;
  }
}

function isEqual(a: HeldRegistry["head"], b: HeldRegistry["head"]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function knownVersions(versions: ReadonlyMap<string, unknown>, service: string): string[] {
  const prefix = `${service}@`;
  return [...versions.keys()].filter((id) => id.startsWith(prefix)).map((id) => id.slice(prefix.length));
}
