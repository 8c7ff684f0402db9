import { duckDbLiteral, quoteIdentifier } from "./duckdb-literal.ts";
import { duckDbType } from "./expression-type.ts";
import { type Coalesce, type Conjunction, canFail, type TypedExpression } from "./typed-expression.ts";

/**
 * An expression in DuckDB's dialect. A row without a result gives null for the whole expression, as the closures do:
 * hence one TRY around all of it, never around a part.
 * @param alias qualifies the columns.
 */
export const duckDbSql = (expression: TypedExpression, alias?: string): string => {
  const fails = canFail(expression);
  const sql = partSql(expression, alias, fails);
  return fails ? `TRY(${sql})` : sql;
};

/** @param tried whether it stands within a TRY. */
const partSql = (expression: TypedExpression, alias: string | undefined, tried: boolean): string => {
  const sql = (part: TypedExpression): string => partSql(part, alias, tried);
  switch (expression.kind) {
    case "literal":
      return duckDbLiteral(expression.value, expression.type);
    case "column":
      return alias === undefined
        ? quoteIdentifier(expression.name)
        : `${quoteIdentifier(alias)}.${quoteIdentifier(expression.name)}`;
    case "call":
      return expression.operation.sql(...expression.arguments.map(sql));
    case "and":
    case "or":
      return conjunctionSql(expression, sql);
    case "case": {
      const branches = expression.branches.map(
        ({ when, result }) => `WHEN ${conditionSql(when, sql)} THEN ${sql(result)}`,
      );
      return `CAST(CASE ${branches.join(" ")} ELSE ${sql(expression.otherwise)} END AS ${duckDbType(expression.type)})`;
    }
    case "coalesce":
      return tried ? coalesceSql(expression, sql) : `COALESCE(${expression.arguments.map(sql).join(", ")})`;
  }
};

/** Within a TRY, DuckDB's own COALESCE gives random values when another part fails for some row: a CASE does not. */
const coalesceSql = ({ arguments: parts, type }: Coalesce, sql: (part: TypedExpression) => string): string => {
  const branches = parts.map(sql).map((part) => `WHEN ${part} IS NOT NULL THEN ${part}`);
  return `CAST(CASE ${branches.join(" ")} END AS ${duckDbType(type)})`;
};

/**
 * A condition of CASE. There DuckDB would give up an AND at its first null, though a later part may fail: IS TRUE makes it
 * compute the whole condition first, as PostgreSQL does.
 */
const conditionSql = (condition: TypedExpression, sql: (part: TypedExpression) => string): string =>
  canFail(condition) ? `(${sql(condition)}) IS TRUE` : sql(condition);

/**
 * DuckDB evaluates all parts of a conjunction for all rows. A part that can fail is therefore guarded by what stands
 * before it: `b <> 0 AND a / b > 1` must not fail where b is 0.
 */
const conjunctionSql = ({ kind, arguments: parts }: Conjunction, sql: (part: TypedExpression) => string): string => {
  const decided = kind === "and" ? "IS FALSE" : "IS TRUE";
  const neutral = kind === "and" ? "TRUE" : "FALSE";
  const texts = parts.map((part, index) => {
    const guards = parts.slice(0, index).map((earlier) => `${sql(earlier)} ${decided}`);
    return canFail(part) && guards.length > 0
      ? `CASE WHEN ${guards.join(" OR ")} THEN ${neutral} ELSE ${sql(part)} END`
      : sql(part);
  });
  return `(${texts.join(kind === "and" ? " AND " : " OR ")})`;
};
