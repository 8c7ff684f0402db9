import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { Dataset } from "@millrace/contracts/millrace/training/v1/training_spec";
import type { FieldViolation } from "@millrace/errors";
import {
  type CompiledExpression,
  type CompiledField,
  compileExpression,
  ExpressionInvalidError,
} from "@millrace/feature-definition";
import { isLearnable } from "./column-collector.ts";
import { fileColumn, rowColumn } from "./examples-files.ts";

/** A dataset that is read from files alone, as one query of DuckDB. */
export interface ExamplesQuery {
  readonly sql: string;
  /** The columns of the result, in order. */
  readonly columns: readonly { readonly role: ExamplesRole; readonly name: string; readonly type: ValueType }[];
}

export type ExamplesRole = "eventTime" | "labelKnownAt" | "label" | "weight" | "splitKey" | "feature" | "slice";

/**
 * Writes the query of a dataset without a feature service, in the expression language of feature definitions. What
 * cannot be is answered as violations that name the field of the spec.
 */
export const examplesQuery = (
  dataset: Dataset,
  fields: readonly CompiledField[],
  others: ReadonlyMap<string, string>,
): { readonly query: ExamplesQuery | undefined; readonly violations: readonly FieldViolation[] } => {
  const violations: FieldViolation[] = [];
  const columns: { role: ExamplesRole; name: string; type: ValueType; sql: string }[] = [];
  const { examples } = dataset;
  const compile = (field: string, text: string, type?: ValueType): CompiledExpression | undefined => {
    try {
      return compileExpression(text, fields, type);
    } catch (error) {
      if (!(error instanceof ExpressionInvalidError)) {
        throw error;
      }
      const known = fields.map(({ name }) => name).join(", ");
      violations.push({ field, expected: `an expression over ${known}`, got: `${text}: ${error.explanation}` });
      return undefined;
    }
  };
  const add = (role: ExamplesRole, name: string, field: string, text: string, type?: ValueType): void => {
    const expression = compile(field, text, type);
    if (expression !== undefined) {
      columns.push({ role, name, type: expression.type, sql: expression.toSql() });
    }
  };
  if (examples === undefined) {
    return { query: undefined, violations: [{ field: "dataset.examples", expected: "examples", got: "none" }] };
  }
  add("eventTime", "event_time", "dataset.examples.event_time", examples.eventTime, ValueType.TIMESTAMP);
  if (examples.labelKnownAt !== "") {
    add(
      "labelKnownAt",
      "label_known_at",
      "dataset.examples.label_known_at",
      examples.labelKnownAt,
      ValueType.TIMESTAMP,
    );
  }
  add("label", "label", "dataset.examples.label", examples.label);
  if (examples.weight !== "") {
    add("weight", "weight", "dataset.examples.weight", examples.weight, ValueType.DOUBLE);
  }
  if (dataset.split?.split.case === "byHash") {
    add("splitKey", "split_key", "dataset.split.by_hash.of", dataset.split.split.value.of);
  }
  dataset.columns.forEach((column, place) => {
    const at = `dataset.columns[${place}]`;
    const found = fields.find(({ name }) => name === column);
    if (found === undefined || !isLearnable(found.type)) {
      const got = found === undefined ? (others.get(column) ?? "no such column") : "a timestamp";
      const known = fields.filter(({ type }) => isLearnable(type)).map(({ name }) => name);
      violations.push({ field: at, expected: `one of ${known.join(", ")}`, got: `${column}: ${got}` });
      return;
    }
    columns.push({ role: "feature", name: column, type: found.type, sql: `"${column.replaceAll('"', '""')}"` });
  });
  for (const [name, text] of Object.entries({ ...examples.entities, ...examples.slices })) {
    add("slice", name, `dataset.examples.${name in examples.slices ? "slices" : "entities"}[${name}]`, text);
  }
  const where = examples.where === "" ? undefined : compile("dataset.examples.where", examples.where, ValueType.BOOL);
  const label = columns.find(({ role }) => role === "label");
  if (label !== undefined && (!isLearnable(label.type) || label.type === ValueType.STRING)) {
    const got =
      label.type === ValueType.STRING ? "text: labels of several classes are not learned yet" : "another type";
    violations.push({ field: "dataset.examples.label", expected: "a boolean or a number", got });
  }
  if (violations.length > 0) {
    return { query: undefined, violations };
  }
  const selected = columns.map(({ sql, type }, place) =>
    type === ValueType.TIMESTAMP ? `epoch_us(${sql}) AS c${place}` : `${sql} AS c${place}`,
  );
  const filter = where === undefined ? "" : `WHERE ${where.toSql()} `;
  const sql = `SELECT ${selected.join(", ")} FROM examples ${filter}ORDER BY c0, "${fileColumn}", "${rowColumn}"`;
  return { query: { sql, columns: columns.map(({ role, name, type }) => ({ role, name, type })) }, violations };
};
