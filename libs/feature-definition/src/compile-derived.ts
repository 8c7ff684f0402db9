import type { DerivedColumn as Declared } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { CompiledField, DerivedColumn } from "./compiled.ts";
import { compileExpression } from "./expression/compile-expression.ts";
import type { Problems } from "./problems.ts";

/** Compiles the columns that a source computes: each over the fields and the derived columns before it. */
export const compileDerived = (
  declared: readonly Declared[],
  fields: readonly CompiledField[],
  place: string,
  problems: Problems,
): DerivedColumn[] => {
  const names = new Set(fields.map(({ name }) => name));
  const derived: DerivedColumn[] = [];
  declared.forEach(({ name, expression: text }, index) => {
    if (names.has(name)) {
      problems.add(`${place}[${index}].name`, "a name of its own among fields and derived columns", name);
    }
    names.add(name);
    const expression = problems.expression(`${place}[${index}].expression`, () =>
      compileExpression(text, [...fields, ...derived]),
    );
    if (expression !== undefined) derived.push({ name, type: expression.type, expression });
  });
  return derived;
};
