import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { Scalar } from "../compiled.ts";
import { type ByteReader, RowCorruptError } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { CountPartial } from "./count-partial.ts";
import { DistinctPartial } from "./distinct-partial.ts";
import { EndPartial } from "./end-partial.ts";
import { ExtremePartial } from "./extreme-partial.ts";
import { IntegerSumPartial } from "./integer-sum-partial.ts";
import { LastValuesPartial } from "./last-values-partial.ts";
import { MomentsPartial } from "./moments-partial.ts";
import { PercentilePartial } from "./percentile-partial.ts";
import type { EventOrder } from "./source-event.ts";
import { SumPartial } from "./sum-partial.ts";

/**
 * What is kept of some events for some aggregate functions of one expression: enough to be merged with the same of other
 * events, in any order and any grouping, with the result that all events together would have given.
 */
export interface Partial {
  /** Takes one value that is not null. */
  add(value: Exclude<Scalar, null>, order: EventOrder): void;
  /** Takes all of another partial of the same kind, which is left as it was. */
  merge(other: Partial): void;
  /**
   * The value of a function over all that was taken, at least one value.
   * @param percentile of APPROX_PERCENTILE, above 0 up to 1.
   */
  result(aggregate: AggregateFunction, percentile: number): Scalar;
  write(writer: ByteWriter): void;
}

/** The kinds of partials, each of which serves one or more functions. */
export type PartialKind =
  | "count"
  | "sum"
  | "integerSum"
  | "moments"
  | "minimum"
  | "maximum"
  | "last"
  | "first"
  | "lastValues"
  | "distinct"
  | "percentile";

/** What a partial is made for. */
export interface PartialSpec {
  readonly kind: PartialKind;
  readonly inputType: ValueType;
  /** How many values are kept, where several are; else 0. */
  readonly n: number;
  /** Of lists: how many elements each has; undefined for any number. */
  readonly length: number | undefined;
}

/** Which partial a function over values of a type needs. */
export function partialKind(aggregate: AggregateFunction, inputType: ValueType): PartialKind {
  switch (aggregate) {
    case AggregateFunction.COUNT:
      return "count";
    case AggregateFunction.SUM:
    case AggregateFunction.MEAN:
      return inputType === ValueType.INT64 || inputType === ValueType.BOOL ? "integerSum" : "sum";
    case AggregateFunction.MIN:
      return "minimum";
    case AggregateFunction.MAX:
      return "maximum";
    case AggregateFunction.LAST:
      return "last";
    case AggregateFunction.FIRST:
      return "first";
    case AggregateFunction.STDDEV:
    case AggregateFunction.VARIANCE:
      return "moments";
    case AggregateFunction.LAST_N:
      return "lastValues";
    case AggregateFunction.DISTINCT_COUNT:
      return "distinct";
    case AggregateFunction.APPROX_PERCENTILE:
      return "percentile";
    default:
      throw new TypeError(`function ${aggregate} has no partial`);
  }
}

/** An empty partial. */
export function createPartial({ kind, inputType, n }: PartialSpec): Partial {
  switch (kind) {
    case "count":
      return new CountPartial();
    case "sum":
      return new SumPartial();
    case "integerSum":
      return new IntegerSumPartial();
    case "moments":
      return new MomentsPartial();
    case "minimum":
      return new ExtremePartial(-1, inputType);
    case "maximum":
      return new ExtremePartial(1, inputType);
    case "last":
      return new EndPartial(1, inputType);
    case "first":
      return new EndPartial(-1, inputType);
    case "lastValues":
      return new LastValuesPartial(n, inputType);
    case "distinct":
      return new DistinctPartial();
    case "percentile":
      return new PercentilePartial();
  }
}

/** Reads what Partial.write wrote for the same spec. */
export function readPartial(reader: ByteReader, { kind, inputType, n }: PartialSpec): Partial {
  switch (kind) {
    case "count":
      return CountPartial.read(reader);
    case "sum":
      return SumPartial.read(reader);
    case "integerSum":
      return IntegerSumPartial.read(reader);
    case "moments":
      return MomentsPartial.read(reader);
    case "minimum":
      return ExtremePartial.read(reader, -1, inputType);
    case "maximum":
      return ExtremePartial.read(reader, 1, inputType);
    case "last":
      return EndPartial.read(reader, 1, inputType);
    case "first":
      return EndPartial.read(reader, -1, inputType);
    case "lastValues":
      return LastValuesPartial.read(reader, n, inputType);
    case "distinct":
      return DistinctPartial.read(reader);
    case "percentile":
      return PercentilePartial.read(reader);
    default:
      throw new RowCorruptError(`unknown kind of partial ${String(kind satisfies never)}`);
  }
}
