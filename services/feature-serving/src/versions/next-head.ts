import type { CompiledRepository } from "@millrace/feature-definition";
import type { AppliedDefinitions, LoadedDefinitions } from "../applied-definitions.ts";
import { type StoredDefinitions, storedDefinitions } from "../registry.ts";
import { type FillingView, type KeptServiceVersion, type RegistryHead, viewIdOf } from "../registry-head.ts";
import { definitionsOfService, definitionsOfViews, namesNeeded, viewOf } from "./needed-definitions.ts";

/** Definitions that are to be applied. */
export interface NextDefinitions extends LoadedDefinitions {
  readonly revision: string;
  readonly nowMs: number;
}

/** A head and the definitions that it names and that may not be stored yet. */
export interface NextHead {
  readonly head: RegistryHead;
  readonly stored: readonly StoredDefinitions[];
}

/**
 * The head once definitions are applied. Versions of services that they replace are kept at first: whether something needs
 * them is looked up later. A view version that is new and follows another one fills, and services that read it are answered
 * by what answered before.
 */
export function headAfterApply(before: AppliedDefinitions | undefined, next: NextDefinitions): NextHead {
  const { declared, compiled, revision, nowMs } = next;
  const body = storedDefinitions(declared);
  const stored = [body];
  const store = (definitions: StoredDefinitions): string => {
    stored.push(definitions);
    return definitions.hash;
  };
  const applied = {
    registryVersion: (before?.registryVersion ?? 0) + 1,
    definitions: body.hash,
    definitionsHash: compiled.definitionsHash,
    revision,
    appliedAtMs: nowMs,
  };
  if (before === undefined) return { head: { ...applied, kept: [], filling: [], answering: {} }, stored };

  const isApplied = (service: string, version: string) => compiled.services.get(service)?.version === version;
  const kept = before.head.kept.filter(({ service, version }) => !isApplied(service, version));
  for (const { name: service, version } of before.repository.services.values()) {
    if (isApplied(service, version)) continue;
    const definitions = store(storedDefinitions(definitionsOfService(declaredBefore(before), service)));
    kept.push({ service, version, definitions, replacedAtMs: nowMs });
  }

  const filling: FillingView[] = [...before.head.filling];
  for (const view of compiled.views.values()) {
    if (!view.online || before.liveViews.has(viewIdOf(view))) continue;
    const earlier = before.repository.views.get(view.name);
    if (earlier?.online !== true) continue;
    const known = before.head.filling.find((one) => one.view === view.name && one.version === earlier.version);
    const older = known?.before ?? {
      version: earlier.version,
      definitions: store(storedDefinitions(definitionsOfViews(declaredBefore(before), [view.name]))),
    };
    filling.push({ view: view.name, version: view.version, before: older });
  }

  const answering: Record<string, string> = {};
  for (const { name, version } of compiled.services.values()) {
    const earlier = before.head.answering[name] ?? before.repository.services.get(name)?.version;
    if (earlier === undefined || earlier === version || before.plans.get(name) === undefined) continue;
    if (readsFilling(next, name, filling)) answering[name] = earlier;
  }
  const live = new Set([...compiled.views.values()].map(viewIdOf));
  for (const one of kept) for (const id of viewsOf(before, one)) live.add(id);
  return { head: { ...applied, kept, filling: filling.filter((one) => live.has(fillingId(one))), answering }, stored };
}

/** The head once views have caught up: they are visible from here on, and so are the services that waited for them. */
export function headAfterFilled(current: AppliedDefinitions, viewIds: ReadonlySet<string>): RegistryHead {
  const { head, repository } = current;
  const filling = head.filling.filter((one) => !viewIds.has(fillingId(one)));
  const loaded = { declared: declaredBefore(current), compiled: repository };
  const answering = Object.fromEntries(
    Object.entries(head.answering).filter(([service]) => readsFilling(loaded, service, filling)),
  );
  return { ...head, filling, answering };
}

/** The head without some kept versions, given as `service@version`. */
export function headWithout(current: AppliedDefinitions, dropped: ReadonlySet<string>): RegistryHead {
  const { head, repository } = current;
  const kept = head.kept.filter(({ service, version }) => !dropped.has(`${service}@${version}`));
  const live = new Set([...repository.views.values()].map(viewIdOf));
  for (const one of kept) for (const id of viewsOf(current, one)) live.add(id);
  return { ...head, kept, filling: head.filling.filter((one) => live.has(fillingId(one))) };
}

/** The `view@version` that a filling entry is about. */
export function fillingId({ view, version }: FillingView): string {
  return `${view}@${version}`;
}

/** The `view@version`s that a kept version of a service needs. */
export function viewsOf(current: AppliedDefinitions, { service, version }: KeptServiceVersion): string[] {
  const kept = current.kept.get(`${service}@${version}`)?.compiled;
  if (kept !== undefined) return [...kept.views.values()].map(viewIdOf);
  return viewsRead(current.repository, declaredBefore(current), service).map(viewIdOf);
}

function readsFilling({ declared, compiled }: LoadedDefinitions, service: string, filling: readonly FillingView[]) {
  const ids = new Set(filling.map(fillingId));
  return viewsRead(compiled, declared, service).some((view) => ids.has(viewIdOf(view)));
}

function viewsRead(compiled: CompiledRepository, declared: LoadedDefinitions["declared"], service: string) {
  const features = declared.featureServices.find(({ name }) => name === service)?.features ?? [];
  const names = namesNeeded(declared, features.map(viewOf));
  return [...names].flatMap((name) => compiled.views.get(name) ?? []);
}

function declaredBefore({ applied }: AppliedDefinitions): LoadedDefinitions["declared"] {
  if (applied.repository === undefined) throw new TypeError("Applied definitions have a repository.");
  return applied.repository;
}
