import type { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type {
  AggregateFunction,
  BatchSource,
  StreamSource,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";

/**
 * One value in code: INT64 and TIMESTAMP (microseconds) are bigint, DOUBLE and FLOAT are number, lists are arrays.
 * Null is SQL's null.
 */
export type Scalar = null | boolean | bigint | number | string | Uint8Array | readonly Scalar[];

/** A row as an array, in the order of the schema that the expression was compiled against. */
export type Row = readonly Scalar[];

export interface CompiledField {
  readonly name: string;
  readonly type: ValueType;
  /** Of a list: how many elements each of its values has; undefined for any number. */
  readonly length?: number;
  /** Declared range, for data quality. */
  readonly min?: number;
  readonly max?: number;
}

/** A scalar expression, checked against a schema. */
export interface CompiledExpression {
  readonly text: string;
  readonly type: ValueType;
  /** Columns of the schema that it reads. */
  readonly columns: readonly string[];
  /** One value; null where SQL gives null. Throws ExpressionEvaluationError for overflow and the like. */
  evaluate(row: Row): Scalar;
  /** The same meaning in DuckDB's dialect, with every column quoted and, where given, qualified by the table alias. */
  toSql(alias?: string): string;
}

export interface CompiledEntity {
  readonly name: string;
  readonly keys: readonly CompiledField[];
}

export interface DerivedColumn extends CompiledField {
  readonly expression: CompiledExpression;
}

export interface CompiledSource {
  readonly name: string;
  /** What its records and files hold. */
  readonly fields: readonly CompiledField[];
  /** Computed from the fields, in order: each may read those before it. */
  readonly derived: readonly DerivedColumn[];
  /** The fields, then the derived columns: the schema of expressions over this source, and of the rows of its events. */
  readonly columns: readonly CompiledField[];
  readonly eventTime: string;
  /** Undefined: the event time in batch data, the log's append time in a stream. */
  readonly createdAt: string | undefined;
  readonly allowedLatenessUs: bigint;
  readonly maxFutureSkewUs: bigint;
  /** The batch data has all that became known up to the greatest value of a field, less a time. */
  readonly completeUpTo?: { readonly column: string; readonly lagUs: bigint };
  /** The BOOL field that says that the entity is gone, and its place in a row. */
  readonly deleted?: { readonly name: string; readonly index: number };
  readonly batch: BatchSource | undefined;
  readonly stream: StreamSource | undefined;
  readonly owner: string;
}

export interface CompiledAggregate {
  readonly name: string;
  readonly function: AggregateFunction;
  /** Undefined only for COUNT of rows. */
  readonly of: CompiledExpression | undefined;
  readonly windowUs: bigint;
  readonly hopUs: bigint;
  readonly type: ValueType;
  /** For LAST_N: how many. */
  readonly n?: number;
  /** For APPROX_PERCENTILE: above 0, up to 1. */
  readonly percentile?: number;
}

export interface CompiledFeature {
  readonly name: string;
  readonly type: ValueType;
  readonly expression: CompiledExpression;
}

interface CompiledViewBase {
  readonly name: string;
  /** Changes exactly when the meaning of the view's values does: the first 12 hexadecimal digits of a SHA-256. */
  readonly version: string;
  readonly entity: CompiledEntity;
  readonly source: CompiledSource;
  /** The source column of each entity key, in the entity's order. */
  readonly keyColumns: readonly string[];
  readonly where: CompiledExpression | undefined;
  readonly online: boolean;
  readonly owner: string;
}

export interface AggregateView extends CompiledViewBase {
  readonly kind: "aggregate";
  readonly aggregates: readonly CompiledAggregate[];
}

export interface LatestRowView extends CompiledViewBase {
  readonly kind: "latestRow";
  readonly features: readonly CompiledFeature[];
  /** Undefined: a row counts for ever. */
  readonly ttlUs: bigint | undefined;
}

export type CompiledView = AggregateView | LatestRowView;

/** What gives an entity key of a joined view: a column that the caller sends, or a feature of a latest-row view. */
export type JoinKey =
  | { readonly kind: "column"; readonly column: CompiledField }
  | { readonly kind: "feature"; readonly view: string; readonly feature: string; readonly type: ValueType };

/** A stored view under another name, for the entity that its keys lead to. */
export interface CompiledJoinedView {
  readonly name: string;
  readonly version: string;
  /** The stored view whose features it has. */
  readonly view: string;
  /** By entity key of that view, in the entity's order. */
  readonly keys: readonly JoinKey[];
}

export interface OnDemandFeature extends CompiledFeature {}

export interface CompiledOnDemandView {
  readonly name: string;
  readonly version: string;
  readonly request: readonly CompiledField[];
  /** Other features that the expressions read. */
  readonly inputs: readonly { readonly view: string; readonly feature: string }[];
  /** Request fields, then inputs as `view__feature`: the schema of the expressions. */
  readonly schema: readonly CompiledField[];
  readonly features: readonly OnDemandFeature[];
}

/** One feature of a service, in the order of the service. */
export interface ServiceFeature {
  /** `view__feature`. */
  readonly fullName: string;
  readonly view: string;
  readonly feature: string;
  readonly type: ValueType;
  readonly onDemand: boolean;
}

export interface CompiledFeatureService {
  readonly name: string;
  /** Hash of the versions of all that it reads. */
  readonly version: string;
  /** Hash of the names and types of its features, in order. */
  readonly schemaHash: string;
  readonly features: readonly ServiceFeature[];
  /** Entity keys and request fields that a caller must send, each once. */
  readonly entityKeys: readonly CompiledField[];
  readonly requestFields: readonly CompiledField[];
}

/** A whole repository, checked: every name resolves, every expression has a type, every window is in whole hops. */
export interface CompiledRepository {
  readonly entities: ReadonlyMap<string, CompiledEntity>;
  readonly sources: ReadonlyMap<string, CompiledSource>;
  readonly views: ReadonlyMap<string, CompiledView>;
  readonly joinedViews: ReadonlyMap<string, CompiledJoinedView>;
  readonly onDemandViews: ReadonlyMap<string, CompiledOnDemandView>;
  readonly services: ReadonlyMap<string, CompiledFeatureService>;
  /** Hash of all definitions. */
  readonly definitionsHash: string;
}
