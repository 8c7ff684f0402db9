import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { CompiledExpression, CompiledSource } from "../compiled.ts";
import { elementType } from "../list-type.ts";
import { mostExact, registers } from "../sketch/distinct-sketch.ts";
import type { PartialSpec } from "./partial.ts";

/** Bytes to plan with: as they usually are, and at most. */
export interface PlannedBytes {
  readonly typical: number;
  readonly worst: number;
}

/** How many events a typical tile has, all with different values. */
const eventsInTile = 12;

/** Text, bytes and lists of any length have no bound of their own: they are planned with these. */
const textBytes = { typical: 12, worst: 256 };
const listElements = { typical: 8, worst: 64 };

/** The buckets between two values of one sign that lie nine orders of magnitude apart: ln 10⁹ / ln γ. */
const percentileBuckets = 1037;

/** Format, counts, two times and a replay guard of one partition; at worst of 16. */
export const headBytes: PlannedBytes = { typical: 34, worst: 34 + 16 * 16 };

/** An event's place among the others: event time, creation time, partition, offset. */
export const orderBytes: PlannedBytes = { typical: 14, worst: 26 };

/** @param length of a list, where it is fixed. */
export const valueBytes = (type: ValueType, length?: number): PlannedBytes => {
  switch (type) {
    case ValueType.BOOL:
      return { typical: 1, worst: 1 };
    case ValueType.INT64:
      return { typical: 3, worst: 10 };
    case ValueType.TIMESTAMP:
      return { typical: 8, worst: 10 };
    case ValueType.DOUBLE:
      return { typical: 8, worst: 8 };
    case ValueType.FLOAT:
      return { typical: 4, worst: 4 };
    case ValueType.STRING:
    case ValueType.BYTES:
      return { typical: 1 + textBytes.typical, worst: 2 + textBytes.worst };
  }
  const element = valueBytes(elementType(type) ?? ValueType.DOUBLE);
  const most = length ?? listElements.worst;
  return {
    typical: 2 + (length ?? listElements.typical) * element.typical,
    worst: 2 + Math.ceil(most / 8) + most * element.worst,
  };
};

/** What a partial takes in a tile. */
export const partialBytes = ({ kind, inputType, n, length }: PartialSpec): PlannedBytes => {
  const value = valueBytes(inputType, length);
  const placed = { typical: orderBytes.typical + value.typical, worst: orderBytes.worst + value.worst };
  switch (kind) {
    case "count":
      return { typical: 1, worst: 8 };
    case "sum":
      return { typical: 17, worst: 24 };
    case "integerSum":
      return { typical: 4, worst: 20 };
    case "moments":
      return { typical: 17, worst: 24 };
    case "minimum":
    case "maximum":
      return value;
    case "last":
    case "first":
      return placed;
    case "lastValues":
      return { typical: 1 + Math.min(n, eventsInTile) * placed.typical, worst: 1 + n * placed.worst };
    case "distinct":
      return { typical: 1 + 7 * eventsInTile, worst: 2 + Math.max(7 * mostExact, 2 * registers) };
    case "percentile":
      return { typical: 4 + 3 * eventsInTile, worst: 5 + 4 * percentileBuckets };
  }
};

/** How many elements the lists of an expression have, where all that it can pass on has the same; else undefined. */
export const fixedLength = (
  { type, columns }: Pick<CompiledExpression, "type" | "columns">,
  fields: CompiledSource["fields"],
): number | undefined => {
  const lengths = columns.flatMap((name) => {
    const field = fields.find((candidate) => candidate.name === name);
    return field?.type === type ? [field.length] : [];
  });
  return elementType(type) !== undefined && new Set(lengths).size === 1 ? lengths[0] : undefined;
};
