import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type {
  CompiledFeatureService,
  CompiledOnDemandView,
  CompiledRepository,
  CompiledSource,
  CompiledView,
  JoinKey,
} from "../compiled.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import { type FeatureRead, readsOf } from "../reads-of.ts";
import { fullNameOf, storedViewOf } from "../view-features.ts";
import { aggregateViewSql } from "./aggregate-view-sql.ts";
import { derivedColumnsSql } from "./derived-columns-sql.ts";
import { latestRowViewSql } from "./latest-row-view-sql.ts";
import { type CommonTable, tableOf, type ViewTables } from "./view-sql.ts";

/**
 * The SQL that computes a feature service for the table `entity_rows`, which has `__ordinal` (the place of a row),
 * `__time` (its time in microseconds since 1970), the entity keys and the request fields. One row comes out for each row
 * in, in the order of `__ordinal`; one column for each feature.
 * @param sourceSql the rows of a source: its fields, and `__sequence`, the place of a row in the source.
 * @param kept further columns of `entity_rows` that come out before the features.
 * @param erased the views that have an `erasedTable`, named as `viewsRead` does.
 * @param instants how TIMESTAMP comes out: as BIGINT of microseconds, or as it is.
 */
export const trainingSetSql = (
  repository: CompiledRepository,
  service: CompiledFeatureService,
  asOf: AsOf,
  sourceSql: (source: CompiledSource) => string,
  kept: readonly KeptColumn[] = [],
  instants: "microseconds" | "timestamps" = "microseconds",
  erased: ReadonlySet<string> = new Set(),
): string => {
  const sentValue = (value: string, type: ValueType): string =>
    type === ValueType.TIMESTAMP && instants === "microseconds" ? `epoch_us(${value})` : value;
  const stored = storedFeatures(repository, service);
  const reads = viewReads(repository, stored);
  const parts = reads.map((read) => ({ name: read.view.name, ...readSql(read, asOf, erased.has(read.view.name)) }));
  const sources = [...new Set(reads.map(({ view }) => view.source))];
  const tables: CommonTable[] = [
    ...sources.map((source) => ({
      name: quoteIdentifier(`source: ${source.name}`),
      sql: derivedColumnsSql(source, sourceSql(source)),
    })),
    ...parts.flatMap(({ tables: own }) => own),
  ];
  const alias = (view: string): string => `v${parts.findIndex(({ name }) => name === view)}`;
  const requestFields = service.requestFields.map(({ name }) => `e.${quoteIdentifier(name)}`);
  const columns = stored.map(({ view, feature, isCount }) => {
    const column = `${alias(view)}.${quoteIdentifier(feature)}`;
    return `${isCount ? `coalesce(${column}, 0)` : column} AS ${quoteIdentifier(fullNameOf(view, feature))}`;
  });
  const keptColumns = kept.map(({ column }, index) => `e.${quoteIdentifier(column)} AS ${keptName(index)}`);
  const keys = service.entityKeys
    .filter(({ name }) => keysReadAsRequest(repository, service).has(name))
    .map(({ name }) => `e.${quoteIdentifier(name)}`);
  tables.push({
    name: "stored",
    sql: `SELECT ${[`e."__ordinal"`, ...keptColumns, ...keys, ...requestFields, ...columns].join(", ")} FROM entity_rows e
      ${parts.map(({ name, result }) => `LEFT JOIN ${result} ${alias(name)} ON ${alias(name)}.o = e."__ordinal"`).join("\n      ")}`,
  });
  const computed = computedTables(repository, service);
  tables.push(...computed);
  const features = service.features.map(
    ({ fullName, type }) => `${sentValue(quoteIdentifier(fullName), type)} AS ${quoteIdentifier(fullName)}`,
  );
  const sent = kept.map(({ name, type }, index) => `${sentValue(keptName(index), type)} AS ${quoteIdentifier(name)}`);
  const clauses = tables.map(
    ({ name, sql, materialized }) => `${name} AS ${materialized ? "MATERIALIZED " : ""}(\n    ${sql}\n  )`,
  );
  return `WITH ${clauses.join(",\n  ")}\nSELECT ${[...sent, ...features].join(",\n  ")}\nFROM ${computed.at(-1)?.name ?? "stored"} ORDER BY "__ordinal"`;
};

/** The stored and joined views that a service's training set reads, each under the name by which it is read. */
export const viewsRead = (repository: CompiledRepository, service: CompiledFeatureService): CompiledView[] =>
  viewReads(repository, storedFeatures(repository, service)).map(({ view }) => view);

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
  /** A feature view or a joined view. */
  readonly view: string;
  readonly feature: string;
  readonly isCount: boolean;
}

/** Features of stored and joined views that the service has or that its on-demand views read, each once. */
const storedFeatures = (repository: CompiledRepository, service: CompiledFeatureService): StoredFeature[] => {
  const found = new Map<string, StoredFeature>();
  const add = (viewName: string, feature: string): void => {
    const view = storedViewOf(repository, viewName);
    if (view === undefined) return;
    const aggregate = view.kind === "aggregate" ? view.aggregates.find(({ name }) => name === feature) : undefined;
    found.set(fullNameOf(viewName, feature), {
      view: viewName,
      feature,
      isCount: aggregate?.function === AggregateFunction.COUNT,
    });
  };
  for (const { view, feature } of featuresToStore(repository, service)) add(view, feature);
  return [...found.values()];
};

interface ViewRead {
  /** Named as it is read: a joined view has its own name. It has only the features that are asked for: nobody pays for the others. */
  readonly view: CompiledView;
  /** What gives the keys of a joined view, in the entity's order. */
  readonly joinKeys: readonly JoinKey[] | undefined;
}

/** The views to read: those that give keys before those that are joined by them. */
const viewReads = (repository: CompiledRepository, stored: readonly StoredFeature[]): ViewRead[] => {
  const wanted = new Map<string, Set<string>>();
  const want = (view: string, feature: string): void => {
    wanted.set(view, (wanted.get(view) ?? new Set()).add(feature));
  };
  for (const { view, feature } of stored) {
    want(view, feature);
    for (const key of repository.joinedViews.get(view)?.keys ?? []) {
      if (key.kind === "feature") want(key.view, key.feature);
    }
  }
  const reads = [...wanted].flatMap(([name, features]): ViewRead[] => {
    const view = storedViewOf(repository, name);
    if (view === undefined) return [];
    const joinKeys = repository.joinedViews.get(name)?.keys;
    const isWanted = (feature: { readonly name: string }): boolean => features.has(feature.name);
    return view.kind === "aggregate"
      ? [{ view: { ...view, name, aggregates: view.aggregates.filter(isWanted) }, joinKeys }]
      : [{ view: { ...view, name, features: view.features.filter(isWanted) }, joinKeys }];
  });
  return [
    ...reads.filter(({ joinKeys }) => joinKeys === undefined),
    ...reads.filter(({ joinKeys }) => joinKeys !== undefined),
  ];
};

const readSql = ({ view, joinKeys }: ViewRead, asOf: AsOf, hidesErased: boolean): ViewTables => {
  const rows = joinKeys && joinedRowsTable(view, joinKeys);
  const { tables, result } =
    view.kind === "aggregate"
      ? aggregateViewSql(view, asOf, rows?.name, hidesErased)
      : latestRowViewSql(view, asOf, rows?.name, hidesErased);
  return { tables: rows === undefined ? tables : [rows, ...tables], result };
};

/** The entity rows with the keys that lead to the joined entity. */
const joinedRowsTable = (view: CompiledView, joinKeys: readonly JoinKey[]): CommonTable => {
  const keyViews = [...new Set(joinKeys.flatMap((key) => (key.kind === "feature" ? [key.view] : [])))];
  const keys = joinKeys.map((key, index) => {
    const value =
      key.kind === "column"
        ? `e.${quoteIdentifier(key.column.name)}`
        : `j${keyViews.indexOf(key.view)}.${quoteIdentifier(key.feature)}`;
    return `${value} AS ${quoteIdentifier(view.entity.keys[index]?.name ?? "")}`;
  });
  const joins = keyViews.map(
    (name, index) => `LEFT JOIN ${tableOf({ name }, "values")} j${index} ON j${index}.o = e."__ordinal"`,
  );
  return {
    name: tableOf(view, "joined entity rows"),
    sql: `SELECT e."__ordinal", e."__time", ${keys.join(", ")} FROM entity_rows e ${joins.join(" ")}`,
  };
};

/** Those that on-demand views are made of, and those that the service has itself; not those that only give keys. */
const featuresToStore = (repository: CompiledRepository, service: CompiledFeatureService): readonly FeatureRead[] => {
  const computed = readsOf(service.features, repository).filter(({ view }) => repository.onDemandViews.has(view));
  return [...service.features, ...computed.flatMap(({ view }) => repository.onDemandViews.get(view)?.inputs ?? [])];
};

/** The features that are computed on demand, each view in a table of its own after those that it reads. */
const computedTables = (repository: CompiledRepository, service: CompiledFeatureService): CommonTable[] => {
  const wanted = new Map<CompiledOnDemandView, Set<string>>();
  for (const { view: name, feature } of readsOf(service.features, repository)) {
    const view = repository.onDemandViews.get(name);
    if (view !== undefined) wanted.set(view, (wanted.get(view) ?? new Set()).add(feature));
  }
  let from = "stored";
  return [...wanted].map(([view, names]) => {
    const features = view.features.filter(({ name }) => names.has(name));
    const values = features.map(
      ({ name, expression }) => `${expression.toSql()} AS ${quoteIdentifier(fullNameOf(view.name, name))}`,
    );
    const table = { name: tableOf(view, "computed"), sql: `SELECT *, ${values.join(", ")} FROM ${from}` };
    from = table.name;
    return table;
  });
};

/** Request fields of on-demand views that are entity keys as well. */
const keysReadAsRequest = (repository: CompiledRepository, service: CompiledFeatureService): ReadonlySet<string> =>
  new Set(
    readsOf(service.features, repository).flatMap(
      ({ view }) => repository.onDemandViews.get(view)?.request.map(({ name }) => name) ?? [],
    ),
  );
