import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { type Aggregate, AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { durationOf } from "./compile-source.ts";
import type { CompiledAggregate, CompiledExpression, CompiledSource } from "./compiled.ts";
import { formatDurationUs } from "./duration.ts";
import { compileExpression } from "./expression/compile-expression.ts";
import { valueTypeName } from "./expression/expression-type.ts";
import { listType, listTypes } from "./list-type.ts";
import type { Problems } from "./problems.ts";

const minuteUs = 60_000_000n;
const hourUs = 60n * minuteUs;
const dayUs = 24n * hourUs;

const numeric: readonly ValueType[] = [ValueType.INT64, ValueType.DOUBLE, ValueType.FLOAT];
const ordered: readonly ValueType[] = [...numeric, ValueType.STRING, ValueType.TIMESTAMP];
const scalar: readonly ValueType[] = [...ordered, ValueType.BOOL, ValueType.BYTES];

const any: readonly ValueType[] = [...scalar, ...listTypes];

interface Rule {
  /** Types that `of` may have. */
  readonly takes: readonly ValueType[];
  gives(of: ValueType): ValueType;
}

/** The most values that LAST_N keeps: each stands in the row, once for each tile that has any. */
const mostLastValues = 100;

const always = (type: ValueType) => (): ValueType => type;
const theSame = (type: ValueType): ValueType => type;

/** What the functions take and give. */
const rules = new Map<AggregateFunction, Rule>([
  [AggregateFunction.COUNT, { takes: any, gives: always(ValueType.INT64) }],
  [
    AggregateFunction.SUM,
    { takes: numeric, gives: (of) => (of === ValueType.INT64 ? ValueType.INT64 : ValueType.DOUBLE) },
  ],
  [AggregateFunction.MEAN, { takes: numeric, gives: always(ValueType.DOUBLE) }],
  [AggregateFunction.MIN, { takes: ordered, gives: theSame }],
  [AggregateFunction.MAX, { takes: ordered, gives: theSame }],
  [AggregateFunction.LAST, { takes: any, gives: theSame }],
  [AggregateFunction.FIRST, { takes: any, gives: theSame }],
  [AggregateFunction.STDDEV, { takes: numeric, gives: always(ValueType.DOUBLE) }],
  [AggregateFunction.VARIANCE, { takes: numeric, gives: always(ValueType.DOUBLE) }],
  [AggregateFunction.LAST_N, { takes: scalar, gives: (of) => listType(of) ?? ValueType.VALUE_TYPE_UNSPECIFIED }],
  [
    AggregateFunction.DISTINCT_COUNT,
    {
      takes: [ValueType.INT64, ValueType.STRING, ValueType.TIMESTAMP, ValueType.BOOL, ValueType.BYTES],
      gives: always(ValueType.INT64),
    },
  ],
  [AggregateFunction.APPROX_PERCENTILE, { takes: numeric, gives: always(ValueType.DOUBLE) }],
]);

const functionNames = new Map<AggregateFunction, string>(
  Object.entries(AggregateFunction).map(([name, number]) => [number, name]),
);

/** The word for an aggregate function, as YAML writes it. */
export const aggregateFunctionName = (of: AggregateFunction): string => functionNames.get(of) ?? String(of);

/** Compiles one windowed aggregate; undefined, with the problems noted, if it does not hold together. */
export const compileAggregate = (
  aggregate: Aggregate,
  source: CompiledSource,
  place: string,
  problems: Problems,
): CompiledAggregate | undefined => {
  const rule = rules.get(aggregate.function);
  if (rule === undefined) {
    const known = [...rules.keys()].map(aggregateFunctionName).join(", ");
    problems.add(`${place}.function`, `one of ${known}`, aggregateFunctionName(aggregate.function));
    return undefined;
  }
  const { n, percentile } = aggregate;
  const isLastN = aggregate.function === AggregateFunction.LAST_N;
  const isPercentile = aggregate.function === AggregateFunction.APPROX_PERCENTILE;
  const none = `none for ${aggregateFunctionName(aggregate.function)}`;
  if (!isLastN && n !== 0) problems.add(`${place}.n`, none, String(n));
  if (isLastN && (n < 1 || n > mostLastValues)) problems.add(`${place}.n`, `from 1 to ${mostLastValues}`, String(n));
  if (!isPercentile && percentile !== 0) problems.add(`${place}.percentile`, none, String(percentile));
  if (isPercentile && !(percentile > 0 && percentile <= 1)) {
    problems.add(`${place}.percentile`, "a share above 0, up to 1", String(percentile));
  }
  const windowUs = durationOf(aggregate.window, "", `${place}.window`, problems);
  const hopUs = aggregate.hop === "" ? defaultHopUs(windowUs) : durationOf(aggregate.hop, "", `${place}.hop`, problems);
  if (windowUs > 0n && hopUs > 0n && windowUs % hopUs !== 0n) {
    problems.add(
      `${place}.window`,
      `a whole number of hops of ${formatDurationUs(hopUs)} (set hop to a divisor of the window)`,
      aggregate.window,
    );
  }
  const of = compileOf(aggregate, rule, source, place, problems);
  if (of === "invalid") return undefined;
  return {
    name: aggregate.name,
    function: aggregate.function,
    of,
    windowUs,
    hopUs,
    type: of === undefined ? ValueType.INT64 : rule.gives(of.type),
    ...(isLastN ? { n } : {}),
    ...(isPercentile ? { percentile } : {}),
  };
};

const compileOf = (
  aggregate: Aggregate,
  rule: Rule,
  source: CompiledSource,
  place: string,
  problems: Problems,
): CompiledExpression | undefined | "invalid" => {
  if (aggregate.of === "") {
    if (aggregate.function === AggregateFunction.COUNT) return undefined;
    problems.add(`${place}.of`, `an expression: only COUNT may go without`, "nothing");
    return "invalid";
  }
  const of = problems.expression(`${place}.of`, () => compileExpression(aggregate.of, source.columns));
  if (of === undefined) return "invalid";
  if (rule.takes.includes(of.type)) return of;
  const expected = `a value of type ${rule.takes.map(valueTypeName).join(", ")} for ${aggregateFunctionName(aggregate.function)}`;
  problems.add(`${place}.of`, expected, `${JSON.stringify(aggregate.of)}, of type ${valueTypeName(of.type)}`);
  return "invalid";
};

/** As Chronon cuts its windows: finely where they are short. */
const defaultHopUs = (windowUs: bigint): bigint => {
  if (windowUs < 12n * hourUs) return 5n * minuteUs;
  return windowUs < 12n * dayUs ? hourUs : dayUs;
};
