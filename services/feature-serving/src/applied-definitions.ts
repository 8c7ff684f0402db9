import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { FeatureRepository, Source } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import {
  type GetRepositoryResponse,
  GetRepositoryResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import {
  type CompiledRepository,
  type CompiledView,
  compileRepository,
  readsOf,
  storedViewOf,
} from "@millrace/feature-definition";
import { type FeaturePlan, planFeatures, type ViewStreams } from "./feature-plan.ts";
import type { HeldRegistry } from "./registry.ts";
import { type KeptServiceVersion, viewIdOf } from "./registry-head.ts";
import { answeringRepository } from "./versions/answering-repository.ts";

/** Definitions with what they compile to. */
export interface LoadedDefinitions {
  readonly declared: FeatureRepository;
  readonly compiled: CompiledRepository;
}

/** An older version of a feature service, with all that it needs. */
export interface KeptDefinitions extends KeptServiceVersion, LoadedDefinitions {}

/** A view version whose rows are kept up to date. */
export interface LiveView {
  readonly view: CompiledView;
  /** As it is declared beside this version of the view. */
  readonly source: Source;
  /** The definitions that this version belongs to. */
  readonly loaded: LoadedDefinitions;
  /** SERVING: applied. FILLING: applied, and an older version answers. KEPT: an older version that something reads. */
  readonly state: "SERVING" | "FILLING" | "KEPT";
}

/** The applied definitions, compiled, with a prepared plan for each feature service. Never changes: another Apply makes another. */
export interface AppliedDefinitions extends HeldRegistry {
  readonly applied: GetRepositoryResponse;
  readonly registryVersion: number;
  readonly repository: CompiledRepository;
  /** What answers online: as the applied definitions, but with the versions before of views that fill. */
  readonly answering: CompiledRepository;
  /** What answers online, by feature service: while views of it fill, the plan of the version before. */
  readonly plans: ReadonlyMap<string, FeaturePlan>;
  /** Every version that can be asked for, by `service@version`. */
  readonly versionPlans: ReadonlyMap<string, FeaturePlan>;
  /** By `service@version`. */
  readonly kept: ReadonlyMap<string, KeptDefinitions>;
  /** By `view@version`: what the stream worker keeps, and what must not be dropped. */
  readonly liveViews: ReadonlyMap<string, LiveView>;
  readonly streams: ViewStreams;
}

/** Compiles definitions. @throws DefinitionInvalidError */
export function loadDefinitions(declared: FeatureRepository): LoadedDefinitions {
  return { declared, compiled: compileRepository(declared) };
}

/** Plans everything that a head has in force or keeps. @param loaded by hash, all that the head names. */
export function assembleDefinitions(
  { head, entryVersion }: HeldRegistry,
  loaded: ReadonlyMap<string, LoadedDefinitions>,
): AppliedDefinitions {
  const find = (hash: string): LoadedDefinitions => {
    const found = loaded.get(hash);
    if (found === undefined) throw new TypeError(`The definitions ${hash} are not loaded.`);
    return found;
  };
  const { declared, compiled: repository } = find(head.definitions);
  const kept = new Map(
    head.kept.map((version) => [
      `${version.service}@${version.version}`,
      { ...version, declared: find(version.definitions).declared, compiled: find(version.definitions).compiled },
    ]),
  );
  const streams: ViewStreams = new Map();
  const plans = new Map<string, FeaturePlan>();
  const versionPlans = new Map<string, FeaturePlan>();
  for (const { service, version, compiled } of kept.values()) {
    const plan = planService(compiled, streams, service);
    if (plan !== undefined) versionPlans.set(`${service}@${version}`, { ...plan, version });
  }
  for (const { name, version } of repository.services.values()) {
    const plan = planService(repository, streams, name);
    if (plan === undefined) continue;
    versionPlans.set(`${name}@${version}`, plan);
    plans.set(name, versionPlans.get(`${name}@${head.answering[name] ?? version}`) ?? plan);
  }
  const before = new Map<string, CompiledView>();
  for (const { view, version, before: older } of head.filling) {
    const earlier = find(older.definitions).compiled.views.get(view);
    if (repository.views.get(view)?.version === version && earlier !== undefined) before.set(view, earlier);
  }
  const applied = create(GetRepositoryResponseSchema, {
    repository: declared,
    registryVersion: BigInt(head.registryVersion),
    definitionsHash: head.definitionsHash,
    revision: head.revision,
    appliedAt: timestampFromMs(head.appliedAtMs),
  });
  return {
    head,
    entryVersion,
    applied,
    registryVersion: head.registryVersion,
    repository,
    answering: answeringRepository(repository, before),
    plans,
    versionPlans,
    kept,
    liveViews: liveViews(
      { declared, compiled: repository },
      [...kept.values()],
      head.filling.map(({ view, before: older }) => ({ ...find(older.definitions), only: view })),
      new Set(before.keys()),
    ),
    streams,
  };
}

/** Undefined for a service of views that are not kept online: only training sets read it. */
function planService(repository: CompiledRepository, streams: ViewStreams, name: string): FeaturePlan | undefined {
  const service = repository.services.get(name);
  if (service === undefined) return undefined;
  const reads = readsOf(service.features, repository);
  const isOnline = reads.every(({ view }) => storedViewOf(repository, view)?.online !== false);
  return isOnline ? planFeatures(repository, streams, service, name) : undefined;
}

function liveViews(
  applied: LoadedDefinitions,
  kept: readonly LoadedDefinitions[],
  before: readonly (LoadedDefinitions & { readonly only: string })[],
  filling: ReadonlySet<string>,
): Map<string, LiveView> {
  const live = new Map<string, LiveView>();
  const add = (view: CompiledView, loaded: LoadedDefinitions, state: LiveView["state"]) => {
    const source = loaded.declared.sources.find(({ name }) => name === view.source.name);
    if (source !== undefined && !live.has(viewIdOf(view))) live.set(viewIdOf(view), { view, source, loaded, state });
  };
  for (const view of applied.compiled.views.values()) {
    add(view, applied, filling.has(view.name) ? "FILLING" : "SERVING");
  }
  for (const one of kept) for (const view of one.compiled.views.values()) add(view, one, "KEPT");
  for (const one of before) {
    const view = one.compiled.views.get(one.only);
    if (view !== undefined) add(view, one, "KEPT");
  }
  return live;
}
