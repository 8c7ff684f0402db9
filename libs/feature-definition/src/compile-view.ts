import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  type Feature,
  type FeatureView,
  StreamSource_Format,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { compileAggregate } from "./compile-aggregate.ts";
import { durationOf } from "./compile-source.ts";
import type { CompiledEntity, CompiledExpression, CompiledFeature, CompiledSource, CompiledView } from "./compiled.ts";
import { placeOf } from "./definition-origin.ts";
import { sha256Bytes, shortDigest } from "./digest.ts";
import { columnExpression, compileExpression, expressionMeaning } from "./expression/compile-expression.ts";
import { valueTypeName } from "./expression/expression-type.ts";
import { ownValue } from "./own-value.ts";
import type { Problems } from "./problems.ts";

/** Compiles feature views against the entities and sources that they name. */
export const compileViews = (
  views: readonly FeatureView[],
  entities: ReadonlyMap<string, CompiledEntity>,
  sources: ReadonlyMap<string, CompiledSource>,
  problems: Problems,
): Map<string, CompiledView> => {
  const compiled = new Map<string, CompiledView>();
  views.forEach((view, index) => {
    const place = placeOf(view, `featureViews[${index}]`);
    const entity = entities.get(view.entity);
    const source = sources.get(view.source);
    if (entity === undefined) problems.add(`${place}.entity`, oneOf("entity", entities), JSON.stringify(view.entity));
    if (source === undefined) problems.add(`${place}.source`, oneOf("source", sources), JSON.stringify(view.source));
    if (source === undefined) return;
    const found = compileView(view, entity ?? { name: view.entity, keys: [] }, source, place, problems);
    if (found !== undefined) compiled.set(view.name, found);
  });
  return compiled;
};

const compileView = (
  view: FeatureView,
  entity: CompiledEntity,
  source: CompiledSource,
  place: string,
  problems: Problems,
): CompiledView | undefined => {
  const isAggregate = view.aggregates.length > 0;
  if (isAggregate === view.features.length > 0) {
    const got = isAggregate ? "both" : "neither";
    problems.add(place, "either aggregates, for windows over events, or features, for the latest row", got);
    return undefined;
  }
  refuseRepeatedNames(
    isAggregate ? view.aggregates : view.features,
    `${place}.${isAggregate ? "aggregates" : "features"}`,
    problems,
  );
  const where =
    view.where === ""
      ? undefined
      : problems.expression(`${place}.where`, () => compileExpression(view.where, source.columns, ValueType.BOOL));
  const base = {
    name: view.name,
    entity,
    source,
    keyColumns: keyColumnsOf(view, entity, source, place, problems),
    where,
    online: view.online ?? true,
    owner: view.owner === "" ? source.owner : view.owner,
  };
  const meaning = {
    keys: entity.keys.map(({ name, type }) => [name, type]),
    keyColumns: base.keyColumns,
    source: [source.name, source.eventTime, source.createdAt ?? "", source.allowedLatenessUs, source.maxFutureSkewUs],
    topic: source.stream?.topic ?? "",
    ...formatMeaning(source),
    where: where === undefined ? "" : expressionMeaning(where),
  };
  if (isAggregate) {
    if (source.deleted !== undefined) {
      const expected = "a source without deletions: what one would take back from a window is not defined";
      problems.add(`${place}.source`, expected, `${source.name}, which has ${source.deleted.name}`);
    }
    if (view.ttl !== "") {
      problems.add(`${place}.ttl`, "no ttl: windows say by themselves what counts", view.ttl);
    }
    const aggregates = view.aggregates.flatMap((aggregate, index) => {
      const found = compileAggregate(aggregate, source, `${place}.aggregates[${index}]`, problems);
      return found === undefined ? [] : [found];
    });
    const version = shortDigest({
      ...meaning,
      ...derivedMeaning(
        source,
        aggregates.map(({ of }) => of),
        base,
      ),
      aggregates: aggregates.map(({ name, function: of, of: value, windowUs, hopUs, type, n, percentile }) => [
        name,
        of,
        value === undefined ? "" : expressionMeaning(value),
        windowUs,
        hopUs,
        type,
        ...(n === undefined ? [] : [n]),
        ...(percentile === undefined ? [] : [percentile]),
      ]),
    });
    return { kind: "aggregate", ...base, aggregates, version };
  }
  const features = view.features.flatMap((feature, index) => {
    const found = compileRowFeature(feature, source, `${place}.features[${index}]`, problems);
    return found === undefined ? [] : [found];
  });
  const ttlUs = view.ttl === "" ? undefined : durationOf(view.ttl, "", `${place}.ttl`, problems);
  const version = shortDigest({
    ...meaning,
    ...derivedMeaning(
      source,
      features.map(({ expression }) => expression),
      base,
    ),
    ttlUs: ttlUs ?? "",
    features: features.map(({ name, type, expression }) => [name, type, expressionMeaning(expression)]),
  });
  return { kind: "latestRow", ...base, features, ttlUs, version };
};

/** How records become rows, where they are more than JSON: what is read otherwise may have other rows. */
const formatMeaning = ({ deleted, stream }: CompiledSource): { readonly format?: readonly unknown[] } => {
  const { format = 0, framing = 0, envelope = 0, schema = "", descriptorSet = new Uint8Array() } = stream ?? {};
  const isPlain = format <= StreamSource_Format.JSON && framing === 0 && envelope === 0 && deleted === undefined;
  if (isPlain) return {};
  return { format: [format, framing, envelope, schema, sha256Bytes(descriptorSet), deleted?.name ?? ""] };
};

/** The derived columns that a view reads, also through others: they are part of what its values mean. */
const derivedMeaning = (
  source: CompiledSource,
  values: readonly (CompiledExpression | undefined)[],
  { keyColumns, where }: Pick<CompiledView, "keyColumns" | "where">,
): { readonly derived?: readonly unknown[] } => {
  const read = new Set([...keyColumns, ...[where, ...values].flatMap((expression) => expression?.columns ?? [])]);
  const found: unknown[] = [];
  for (const { name, type, expression } of [...source.derived].reverse()) {
    if (!read.has(name)) continue;
    for (const column of expression.columns) read.add(column);
    found.push([name, type, expressionMeaning(expression)]);
  }
  return found.length === 0 ? {} : { derived: found };
};

const compileRowFeature = (
  feature: Feature,
  source: CompiledSource,
  place: string,
  problems: Problems,
): CompiledFeature | undefined => {
  const declared = feature.type === ValueType.VALUE_TYPE_UNSPECIFIED ? undefined : feature.type;
  const expression = problems.expression(`${place}${feature.expression === "" ? ".name" : ".expression"}`, () =>
    feature.expression === ""
      ? columnExpression(feature.name, source.columns, declared)
      : compileExpression(feature.expression, source.columns, declared),
  );
  if (expression === undefined) return undefined;
  const column = source.columns.find(({ name }) => name === (feature.expression || feature.name).trim());
  if (feature.length !== 0 && column?.length !== feature.length) {
    const expected = "that of the column which the feature is, since others may have any";
    problems.add(
      `${place}.length`,
      column?.length === undefined ? expected : String(column.length),
      String(feature.length),
    );
  }
  return { name: feature.name, type: expression.type, expression };
};

const keyColumnsOf = (
  view: FeatureView,
  entity: CompiledEntity,
  source: CompiledSource,
  place: string,
  problems: Problems,
): string[] => {
  for (const key of Object.keys(view.entityColumns)) {
    if (entity.keys.some(({ name }) => name === key)) continue;
    const keys = entity.keys.map(({ name }) => name).join(", ");
    problems.add(`${place}.entityColumns`, `keys of the entity ${entity.name}: ${keys}`, JSON.stringify(key));
  }
  return entity.keys.map((key) => {
    const column = ownValue(view.entityColumns, key.name) ?? key.name;
    const field = source.columns.find(({ name }) => name === column);
    if (field?.type !== key.type) {
      problems.add(
        `${place}.entityColumns`,
        `a column of the source ${source.name} of type ${valueTypeName(key.type)} for the key ${key.name}`,
        field === undefined
          ? `${JSON.stringify(column)}, which it has not`
          : `${column}, of type ${valueTypeName(field.type)}`,
      );
    }
    return column;
  });
};

/** Notes each name that stands a second time. */
export const refuseRepeatedNames = (
  named: readonly { readonly name: string }[],
  place: string,
  problems: Problems,
): void => {
  const names = new Set<string>();
  named.forEach(({ name }, index) => {
    if (names.has(name))
      problems.add(`${place}[${index}].name`, "a name of its own in this view", `${name}, a second time`);
    names.add(name);
  });
};

const oneOf = (what: string, known: ReadonlyMap<string, unknown>): string =>
  `the name of ${what === "entity" ? "an" : "a"} ${what}: ${[...known.keys()].join(", ") || "none is defined"}`;
