import type { GetRepositoryResponse } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import {
  type CompiledRepository,
  type CompiledSource,
  compileReferences,
  compileRepository,
  FeatureServiceUnknownError,
} from "@millrace/feature-definition";
import { type FeaturePlan, planFeatures, type ViewStreams } from "./feature-plan.ts";
import type { Registry } from "./registry.ts";

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

/** The applied definitions, compiled, with a prepared plan for each feature service. Never changes: another Apply makes another. */
export interface AppliedDefinitions {
  readonly applied: GetRepositoryResponse;
  readonly registryVersion: number;
  readonly repository: CompiledRepository;
  readonly plans: ReadonlyMap<string, FeaturePlan>;
  readonly streams: ViewStreams;
}

/** Keeps the definitions in force in this process or thread, and notices when others are applied. */
export class Catalogue {
  readonly #registry: Registry;
  readonly #pollMs: number;
  #current: AppliedDefinitions | undefined;
  #refreshing: Promise<void> | undefined;
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

  /** The plan of a feature service. @throws NothingAppliedError, FeatureServiceUnknownError */
  servicePlan(name: string): FeaturePlan {
    const { plans } = this.definitions();
    const plan = plans.get(name);
    if (plan === undefined) throw new FeatureServiceUnknownError(name, [...plans.keys()]);
    return plan;
  }

  /** A plan for references, made for this one request. @throws FeatureUnknownError */
  referencesPlan(references: readonly string[]): FeaturePlan {
    const { repository, streams } = this.definitions();
    return planFeatures(repository, streams, compileReferences(references, repository), "references.features");
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
    const applied = await this.#registry.read();
    if (applied?.repository === undefined) return;
    if (Number(applied.registryVersion) === this.#current?.registryVersion) return;
    const definitions = prepareDefinitions(applied);
    for (const listener of this.#listeners) await listener(definitions);
    this.#current = definitions;
  }
}

/** Compiles definitions and plans their services. @throws DefinitionInvalidError and what planFeatures throws. */
export function prepareDefinitions(applied: GetRepositoryResponse): AppliedDefinitions {
  if (applied.repository === undefined) throw new NothingAppliedError();
  const repository = compileRepository(applied.repository);
  const streams: ViewStreams = new Map();
  const plans = new Map<string, FeaturePlan>();
  for (const service of repository.services.values()) {
    const isOnline = service.features.every(({ view }) => repository.views.get(view)?.online !== false);
    if (!isOnline) continue;
    plans.set(service.name, planFeatures(repository, streams, service, service.name));
  }
  return { applied, registryVersion: Number(applied.registryVersion), repository, plans, streams };
}
