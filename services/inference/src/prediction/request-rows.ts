import type { Column } from "@millrace/contracts/millrace/feature/v1/column";
import { rowCount } from "./column-rows.ts";
import { PredictRequestInvalidError } from "./predict-errors.ts";

/** Rows of entities as a request has them. */
export interface EntityColumns {
  /** One column for each entity key. */
  readonly entities: readonly Column[];
  /** One column for each request field of the model's feature service. */
  readonly request: readonly Column[];
  /** The time asked for, in µs: none (now), one for all rows, or one a row. */
  readonly atUs: readonly bigint[];
}

/**
 * The rows of a request.
 * @throws PredictRequestInvalidError where the columns have no rows, or differ in length, or a column comes twice.
 */
export const rowsOfRequest = ({ entities, request, atUs }: EntityColumns): number => {
  const [first] = [...entities, ...request];
  if (first === undefined) throw new PredictRequestInvalidError("entities", "one column for each entity key", "none");
  const rows = rowCount(first.values);
  for (const [list, columns] of Object.entries({ entities, request })) {
    const seen = new Set<string>();
    for (const [index, column] of columns.entries()) {
      if (seen.has(column.name)) {
        throw new PredictRequestInvalidError(`${list}[${index}].name`, "a column that comes once", column.name);
      }
      seen.add(column.name);
      const own = rowCount(column.values);
      if (own !== rows)
        throw new PredictRequestInvalidError(
          `${list}[${index}].values`,
          `${rows} rows, as ${first.name} has`,
          `${own}`,
        );
    }
  }
  if (rows === 0) throw new PredictRequestInvalidError("entities", "at least one row", "none");
  if (atUs.length > 1 && atUs.length !== rows) {
    throw new PredictRequestInvalidError("at_us", `none, one, or one a row (${rows})`, `${atUs.length}`);
  }
  return rows;
};
