import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledFeatureService, CompiledRepository, CompiledSource, CompiledView } from "../compiled.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import { fullNameOf } from "../view-features.ts";
import { aggregateViewSql } from "./aggregate-view-sql.ts";
import { latestRowViewSql } from "./latest-row-view-sql.ts";
import type { CommonTable, ViewTables } from "./view-sql.ts";

/**
 * The SQL that computes a feature service for the table `entity_rows`, which has `__ordinal` (the place of a row),
 * `__time` (its time in microseconds since 1970), the entity keys and the request fields. One row comes out for each row
 * in, in the order of `__ordinal`; one column for each feature.
 * @param sourceSql the rows of a source: its fields, and `__sequence`, the place of a row in the source.
 * @param kept further columns of `entity_rows` that come out before the features.
 * @param instants how TIMESTAMP comes out: as BIGINT of microseconds, or as it is.
 */
export const trainingSetSql = (
  repository: CompiledRepository,
  service: CompiledFeatureService,
  asOf: AsOf,
  sourceSql: (source: CompiledSource) => string,
  kept: readonly KeptColumn[] = [],
  instants: "microseconds" | "timestamps" = "microseconds",
): string => {
  const sentValue = (value: string, type: ValueType): string =>
    type === ValueType.TIMESTAMP && instants === "microseconds" ? `epoch_us(${value})` : value;
  const stored = storedFeatures(repository, service);
  const views = [...new Set(stored.map(({ view }) => view))];
  const parts = new Map(views.map((view) => [view, neededViewSql(view, stored, asOf)]));
  const sources = [...new Set(views.map(({ source }) => source))];
  const tables: CommonTable[] = [
    ...sources.map((source) => ({ name: quoteIdentifier(`source: ${source.name}`), sql: sourceSql(source) })),
    ...[...parts.values()].flatMap(({ tables: own }) => own),
  ];
  const alias = (view: CompiledView): string => `v${views.indexOf(view)}`;
  const requestFields = service.requestFields.map(({ name }) => `e.${quoteIdentifier(name)}`);
  const columns = stored.map(({ view, feature, isCount }) => {
    const column = `${alias(view)}.${quoteIdentifier(feature)}`;
    return `${isCount ? `coalesce(${column}, 0)` : column} AS ${quoteIdentifier(fullNameOf(view.name, feature))}`;
  });
  const keptColumns = kept.map(({ column }, index) => `e.${quoteIdentifier(column)} AS ${keptName(index)}`);
  const keys = service.entityKeys
    .filter(({ name }) => keysReadAsRequest(repository, service).has(name))
    .map(({ name }) => `e.${quoteIdentifier(name)}`);
  tables.push({
    name: "stored",
    sql: `SELECT ${[`e."__ordinal"`, ...keptColumns, ...keys, ...requestFields, ...columns].join(", ")} FROM entity_rows e
      ${views.map((view) => `LEFT JOIN ${parts.get(view)?.result} ${alias(view)} ON ${alias(view)}.o = e."__ordinal"`).join("\n      ")}`,
  });
  const features = service.features.map(({ fullName, view, feature, type, onDemand }) => {
    const expression = repository.onDemandViews.get(view)?.features.find(({ name }) => name === feature)?.expression;
    const value = onDemand && expression !== undefined ? expression.toSql() : quoteIdentifier(fullName);
    return `${sentValue(value, type)} AS ${quoteIdentifier(fullName)}`;
  });
  const sent = kept.map(({ name, type }, index) => `${sentValue(keptName(index), type)} AS ${quoteIdentifier(name)}`);
  const clauses = tables.map(
    ({ name, sql, materialized }) => `${name} AS ${materialized ? "MATERIALIZED " : ""}(\n    ${sql}\n  )`,
  );
  return `WITH ${clauses.join(",\n  ")}\nSELECT ${[...sent, ...features].join(",\n  ")}\nFROM stored ORDER BY "__ordinal"`;
};

export interface KeptColumn {
  /** As it is called in the result. */
  readonly name: string;
  /** VALUE_TYPE_UNSPECIFIED for a column that is passed on as it is. */
  readonly type: ValueType;
  /** As it is called in `entity_rows`. */
  readonly column: string;
}

const keptName = (index: number): string => quoteIdentifier(`kept ${index}`);

interface StoredFeature {
  readonly view: CompiledView;
  readonly feature: string;
  readonly isCount: boolean;
}

/** Features of stored views that the service has or that its on-demand views read, each once. */
const storedFeatures = (repository: CompiledRepository, service: CompiledFeatureService): StoredFeature[] => {
  const found = new Map<string, StoredFeature>();
  const add = (viewName: string, feature: string): void => {
    const view = repository.views.get(viewName);
    if (view === undefined) return;
    const aggregate = view.kind === "aggregate" ? view.aggregates.find(({ name }) => name === feature) : undefined;
    found.set(fullNameOf(viewName, feature), {
      view,
      feature,
      isCount: aggregate?.function === AggregateFunction.COUNT,
    });
  };
  for (const { view, feature } of service.features) {
    const onDemand = repository.onDemandViews.get(view);
    if (onDemand === undefined) add(view, feature);
    for (const input of onDemand?.inputs ?? []) add(input.view, input.feature);
  }
  return [...found.values()];
};

/** The view with only the features that are asked for: nobody pays for the others. */
const neededViewSql = (view: CompiledView, stored: readonly StoredFeature[], asOf: AsOf): ViewTables => {
  const wanted = new Set(stored.filter((feature) => feature.view === view).map(({ feature }) => feature));
  return view.kind === "aggregate"
    ? aggregateViewSql({ ...view, aggregates: view.aggregates.filter(({ name }) => wanted.has(name)) }, asOf)
    : latestRowViewSql({ ...view, features: view.features.filter(({ name }) => wanted.has(name)) }, asOf);
};

/** Request fields of on-demand views that are entity keys as well. */
const keysReadAsRequest = (repository: CompiledRepository, service: CompiledFeatureService): ReadonlySet<string> =>
  new Set(
    service.features.flatMap(({ view }) => repository.onDemandViews.get(view)?.request.map(({ name }) => name) ?? []),
  );
