import type { Scalar } from "../compiled.ts";
import type { ExpressionType, ScalarType, ValueOfType } from "./expression-type.ts";

/**
 * One function or operator for one list of argument types, in both of its forms. The closure and the SQL must mean the
 * same: the differential test compares them, and PostgreSQL, on random rows.
 */
export interface Operation {
  readonly name: string;
  readonly takes: readonly ExpressionType[];
  readonly gives: ExpressionType;
  /** Null as soon as one argument is null, without being called. */
  readonly strict: boolean;
  /** Whether some argument values have no result: overflow, division by zero. */
  readonly fails: boolean;
  evaluate(...values: Scalar[]): Scalar;
  /** DuckDB's dialect; the arguments come in parentheses where they need them. */
  sql(...values: string[]): string;
}

type Values<T extends readonly ScalarType[]> = { [I in keyof T]: T[I] extends ScalarType ? ValueOfType[T[I]] : never };

interface Body<T extends readonly ScalarType[], G extends ScalarType> {
  readonly fails?: boolean;
  evaluate(...values: Values<T>): ValueOfType[G] | null;
  sql(...values: string[]): string;
}

/** A strict operation: its closure never sees a null. */
export const operation = <const T extends readonly ScalarType[], const G extends ScalarType>(
  name: string,
  takes: T,
  gives: G,
  body: Body<T, G>,
): Operation => ({
  name,
  takes,
  gives,
  strict: true,
  fails: body.fails ?? false,
  evaluate: body.evaluate as unknown as (...values: Scalar[]) => Scalar,
  sql: body.sql,
});

/** An operation that is called with nulls too. */
export const nullAwareOperation = (
  name: string,
  takes: readonly ExpressionType[],
  gives: ExpressionType,
  body: { evaluate(...values: Scalar[]): Scalar; sql(...values: string[]): string },
): Operation => ({ name, takes, gives, strict: false, fails: false, evaluate: body.evaluate, sql: body.sql });

/** An operation whose DuckDB form is a call of a function. */
export const called =
  (name: string) =>
  (...values: string[]): string =>
    `${name}(${values.join(", ")})`;

/** An operation whose DuckDB form is a binary operator. */
export const infix =
  (operator: string) =>
  (...values: string[]): string =>
    `(${values.join(` ${operator} `)})`;
