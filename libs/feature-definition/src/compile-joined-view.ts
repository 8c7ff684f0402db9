import type { JoinedView } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { CompiledField, CompiledJoinedView, CompiledView, JoinKey } from "./compiled.ts";
import { placeOf } from "./definition-origin.ts";
import { shortDigest } from "./digest.ts";
import { valueTypeName } from "./expression/expression-type.ts";
import { ownValue } from "./own-value.ts";
import type { Problems } from "./problems.ts";
import { featureTypes } from "./view-features.ts";

const columnName = /^[a-z][a-z0-9_]{0,62}$/;

/**
 * Compiles joined views against the feature views that they read. A key comes from a column of the caller or from a stored
 * latest-row view, never from another joined view: so no cycle can be written, and reading takes two round trips at most.
 */
export const compileJoinedViews = (
  joinedViews: readonly JoinedView[],
  views: ReadonlyMap<string, CompiledView>,
  problems: Problems,
): Map<string, CompiledJoinedView> => {
  const joinedNames = new Set(joinedViews.map(({ name }) => name));
  const compiled = new Map<string, CompiledJoinedView>();
  joinedViews.forEach((joined, index) => {
    const place = placeOf(joined, `joinedViews[${index}]`);
    const view = views.get(joined.view);
    if (view === undefined) {
      const got = joinedNames.has(joined.view)
        ? `${joined.view}, which is a joined view itself`
        : JSON.stringify(joined.view);
      problems.add(`${place}.view`, `the name of a feature view: ${[...views.keys()].join(", ") || "none"}`, got);
      return;
    }
    const { keys: entityKeys, name: entity } = view.entity;
    for (const key of Object.keys(joined.keys)) {
      if (entityKeys.some(({ name }) => name === key)) continue;
      const known = entityKeys.map(({ name }) => name).join(", ");
      problems.add(`${place}.keys`, `keys of the entity ${entity}: ${known}`, JSON.stringify(key));
    }
    const keys = entityKeys.flatMap((key) => {
      const written = ownValue(joined.keys, key.name);
      if (written === undefined) {
        problems.add(`${place}.keys`, `what gives each key of the entity ${entity}`, `nothing for ${key.name}`);
        return [];
      }
      const found = compileKey(key, written, { views, joinedNames }, `${place}.keys.${key.name}`, problems);
      return found === undefined ? [] : [found];
    });
    const meaning = keys.map((key) =>
      key.kind === "column" ? [key.column.name] : [key.view, views.get(key.view)?.version ?? "", key.feature],
    );
    const version = shortDigest({ view: [view.name, view.version], keys: meaning });
    compiled.set(joined.name, { name: joined.name, version, view: view.name, keys });
  });
  return compiled;
};

const compileKey = (
  key: CompiledField,
  written: string,
  known: { readonly views: ReadonlyMap<string, CompiledView>; readonly joinedNames: ReadonlySet<string> },
  place: string,
  problems: Problems,
): JoinKey | undefined => {
  const wanted = `a column that callers send, or \`view.feature\` of a latest-row view, of type ${valueTypeName(key.type)}`;
  const [name = "", feature, ...more] = written.split(".");
  if (feature === undefined) {
    if (columnName.test(name)) return { kind: "column", column: { name, type: key.type } };
    problems.add(place, wanted, JSON.stringify(written));
    return undefined;
  }
  const view = more.length > 0 ? undefined : known.views.get(name);
  if (view?.kind !== "latestRow") {
    const got = known.joinedNames.has(name)
      ? `${written}, of a joined view: a chain of joins would take a round trip a link, and could be a cycle`
      : view === undefined
        ? `${JSON.stringify(written)}, which no feature view has`
        : `${written}, an aggregate`;
    problems.add(place, wanted, got);
    return undefined;
  }
  const type = featureTypes(view).get(feature);
  if (type === key.type) return { kind: "feature", view: name, feature, type };
  problems.add(
    place,
    wanted,
    type === undefined
      ? `${JSON.stringify(written)}, which no feature view has`
      : `${written}, of type ${valueTypeName(type)}`,
  );
  return undefined;
};
