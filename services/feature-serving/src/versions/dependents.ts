import type { FeatureRepository } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { Change_Kind } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledRepository } from "@millrace/feature-definition";
import type { AppliedDefinitions, LoadedDefinitions } from "../applied-definitions.ts";
import type { Change } from "../plan-changes.ts";
import { namesNeeded, readsOf, viewOf } from "./needed-definitions.ts";
import type { NextHead } from "./next-head.ts";
import type { PackageBinding } from "./package-bindings.ts";

type Dependent = { readonly object: string; readonly name: string; readonly consequence: string };

/** What a plan is made of: what is in force, what is to come, and the head that Apply would write. */
export interface PlannedDefinitions {
  readonly before: AppliedDefinitions | undefined;
  readonly next: LoadedDefinitions;
  readonly head: NextHead["head"];
  readonly packages: readonly PackageBinding[];
}

/** Says of each change what reads the object, and what becomes of that. */
export function withDependents(changes: readonly Change[], planned: PlannedDefinitions): Change[] {
  const { before, next } = planned;
  return changes.map((change) => {
    const declared = change.kind === Change_Kind.DELETE ? before?.applied.repository : next.declared;
    if (declared === undefined) return change;
    const views = viewsAbout(declared, change);
    const services = declared.featureServices.filter(({ name, features }) =>
      change.object === "feature service"
        ? name === change.name
        : intersects(namesNeeded(declared, features.map(viewOf)), views),
    );
    const dependents = [
      ...(change.object === "feature service" ? [] : services.map(({ name }) => serviceDependent(name, planned))),
      ...viewDependents(declared, change, views, planned),
      ...packageDependents(new Set(services.map(({ name }) => name)), planned),
    ];
    return { ...change, dependents };
  });
}

/** The views that a change is about: those of an entity or source, or the view itself. */
function viewsAbout({ featureViews }: FeatureRepository, { object, name = "" }: Change): Set<string> {
  if (object === "feature service") return new Set();
  if (object === "entity") return new Set(featureViews.filter((view) => view.entity === name).map((view) => view.name));
  if (object === "source") return new Set(featureViews.filter((view) => view.source === name).map((view) => view.name));
  return new Set([name]);
}

function serviceDependent(name: string, { before, next, head }: PlannedDefinitions): Dependent {
  const was = before?.repository.services.get(name)?.version;
  const becomes = next.compiled.services.get(name)?.version;
  const answering = head.answering[name];
  const consequence =
    becomes === undefined
      ? "is deleted too"
      : was === undefined
        ? "is new"
        : was === becomes
          ? "keeps its version"
          : `gets version ${becomes}${answering === undefined ? "" : `; ${answering} answers until its views have caught up`}`;
  return { object: "feature service", name, consequence };
}

function viewDependents(
  declared: FeatureRepository,
  { name: changed = "" }: Change,
  views: ReadonlySet<string>,
  { before, next }: PlannedDefinitions,
): Dependent[] {
  const joined = new Set(declared.joinedViews.map(({ name }) => name));
  return [...readsOf(declared).keys()].flatMap((name) => {
    if (name === changed || !intersects(namesNeeded(declared, [name]), views)) return [];
    const was = before && versionOf(before.repository, name);
    const becomes = versionOf(next.compiled, name);
    const isDeleted = ![...next.declared.onDemandViews, ...next.declared.joinedViews].some((one) => one.name === name);
    const consequence = isDeleted ? "is deleted too" : was === becomes ? "reads it" : "gets a new version";
    return [{ object: joined.has(name) ? "joined view" : "on-demand view", name, consequence }];
  });
}

function versionOf({ joinedViews, onDemandViews }: CompiledRepository, name: string): string | undefined {
  return (joinedViews.get(name) ?? onDemandViews.get(name))?.version;
}

function packageDependents(services: ReadonlySet<string>, planned: PlannedDefinitions): Dependent[] {
  const { before, next, head, packages } = planned;
  return packages
    .filter(({ service }) => services.has(service))
    .map(({ reference, service, version }) => {
      const becomes = next.compiled.services.get(service)?.version;
      const isKept = head.kept.some((one) => one.service === service && one.version === version);
      const wasHeld = before?.versionPlans.has(`${service}@${version}`) ?? false;
      const consequence =
        becomes === version
          ? "reads the version that is in force"
          : isKept
            ? `version ${version} of ${service} is kept for it`
            : wasHeld || becomes !== undefined
              ? `was trained on version ${version} of ${service}, which is not kept: the version in force answers it`
              : `needs ${service}, of which nothing is left: its predictions will be refused`;
      return { object: "model package", name: reference, consequence };
    });
}

function intersects(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  for (const one of b) if (a.has(one)) return true;
  return false;
}
