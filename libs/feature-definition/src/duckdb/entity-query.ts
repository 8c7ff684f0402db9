import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { EntityQuery } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { FieldViolation } from "@millrace/errors";
import type { CompiledExpression, CompiledFeatureService } from "../compiled.ts";
import { sha256 } from "../digest.ts";
import { compileExpression, expressionMeaning } from "../expression/compile-expression.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import { ExpressionInvalidError } from "../expression/expression-error.ts";
import { ownValue } from "../own-value.ts";
import { ColumnInvalidError } from "./column-invalid-error.ts";
import { contentTag } from "./data-files.ts";
import { type DataLocation, ofLength, openDataRelation } from "./data-relation.ts";
import type { DuckDbSession } from "./duckdb-session.ts";
import { type LoadedEntityRows, neededColumns } from "./entity-rows.ts";

/**
 * Puts the rows that a query gives into `entity_rows`. Its expressions are of the PostgreSQL subset, checked against the
 * schema of the files.
 * @param keep what stays beside the features: the columns that the query names, or all of the files as they are.
 * @throws ColumnInvalidError naming every expression and column that does not fit; SourceDataInvalidError.
 */
export const loadQueriedEntityRows = async (
  query: EntityQuery,
  service: CompiledFeatureService,
  eventTime: string,
  location: DataLocation,
  session: DuckDbSession,
  keep: "named" | "all" = "named",
): Promise<LoadedEntityRows> => {
  const relation = await openDataRelation(query.data, location, "the entity rows", session);
  const violations: FieldViolation[] = [];
  const compile = (field: string, text: string, type?: ValueType): CompiledExpression | undefined => {
    try {
      return compileExpression(text, relation.columns, type);
    } catch (error) {
      if (!(error instanceof ExpressionInvalidError)) throw error;
      violations.push({
        field,
        expected: "an expression that fits the files",
        got: `${JSON.stringify(text)}: ${error.explanation}`,
      });
      return undefined;
    }
  };
  const needed = neededColumns(service, eventTime).map((column) => ({
    ...column,
    expression: compile(
      `entity_rows.query.columns[${JSON.stringify(column.name)}]`,
      ownValue(query.columns, column.name) ?? quoteIdentifier(column.name),
      column.type,
    ),
  }));
  for (const name of Object.keys(query.columns)) {
    if (needed.some((column) => column.name === name)) continue;
    violations.push({
      field: `entity_rows.query.columns[${JSON.stringify(name)}]`,
      expected: `one of ${needed.map((column) => column.name).join(", ")}`,
      got: name,
    });
  }
  const taken = new Set([...service.features.map(({ fullName }) => fullName), ...needed.map(({ name }) => name)]);
  const extra = Object.entries(query.extra).map(([name, text]) => {
    const field = `entity_rows.query.extra[${JSON.stringify(name)}]`;
    if (taken.has(name))
      violations.push({ field, expected: "a name that no key, request field or feature has", got: name });
    return { name, expression: compile(field, text) };
  });
  const where = query.where === "" ? undefined : compile("entity_rows.query.where", query.where, ValueType.BOOL);
  for (const name of keep === "all" ? relation.names : []) {
    if (!service.features.some(({ fullName }) => fullName === name)) continue;
    violations.push({ field: `entity_rows.${name}`, expected: "a name that no feature has", got: name });
  }
  if (violations.length > 0) throw new ColumnInvalidError(violations);
  const expressions = [
    ...needed.map((field, index) => ({ ...field, column: index === 0 ? "__event_time" : field.name })),
    ...extra.map((field, index) => ({ ...field, column: `extra ${index}`, length: undefined })),
  ].flatMap(({ name, expression, column, length }) =>
    expression === undefined ? [] : [{ name, expression, column, ...(length === undefined ? {} : { length }) }],
  );
  const read = [
    ...new Set([...expressions.flatMap(({ expression }) => expression.columns), ...(where?.columns ?? [])]),
  ];
  const raw = keep === "all" ? relation.names : [];
  const selected = [
    ...expressions.map(({ name, expression, column, length }) => {
      const value = expression.toSql();
      const field = { name, type: expression.type, ...(length === undefined ? {} : { length }) };
      return `${length === undefined ? value : ofLength(value, field, "the entity rows")} AS ${quoteIdentifier(column)}`;
    }),
    ...raw.map((name) => quoteIdentifier(`raw ${name}`)),
  ];
  const order = query.orderByEventTime ? '"__event_time", "__sequence"' : '"__sequence"';
  await session.connection.run(`CREATE TEMP TABLE entity_rows AS
    SELECT row_number() OVER (ORDER BY ${order}) - 1 AS "__ordinal", epoch_us("__event_time") AS "__time", * EXCLUDE ("__sequence")
    FROM (SELECT ${selected.join(", ")}, "__sequence"
      FROM (${relation.select(
        relation.columns.filter(({ name }) => read.includes(name)),
        raw,
      )})${where === undefined ? "" : ` WHERE ${where.toSql()}`})`);
  const [[rows = 0n, timeless = 0n] = []] = await session.rows(
    'SELECT count(*), count(*) FILTER (WHERE "__time" IS NULL) FROM entity_rows',
  );
  if (Number(timeless) > 0) {
    throw new ColumnInvalidError([
      { field: `entity_rows.${eventTime}`, expected: "a time in every row", got: `null in ${timeless} rows` },
    ]);
  }
  const tags = await Promise.all(
    relation.files.map(async (file) => [file.name, file.sizeBytes, await contentTag(file)]),
  );
  const meaning = expressions.map(({ name, expression }) => [name, expressionMeaning(expression)]);
  return {
    rows: Number(rows),
    tag: sha256(
      JSON.stringify([tags, meaning, where === undefined ? "" : expressionMeaning(where), query.orderByEventTime]),
    ),
    kept: {
      kind: "columns",
      columns:
        keep === "all"
          ? raw.map((name) => ({ name, type: ValueType.VALUE_TYPE_UNSPECIFIED, column: `raw ${name}` }))
          : expressions.map(({ name, expression: { type }, column }) => ({ name, type, column })),
    },
  };
};
