import type { Route, Router } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import { type Datatype, decodeStrings, halfToNumber, type Tensor, typedView } from "@millrace/tensor";

/** What a row's value must be for a route. */
export type RouteCondition =
  | { readonly kind: "equals"; readonly value: number | string | boolean }
  | { readonly kind: "less_than" | "at_least"; readonly value: number };

export interface RoutePlan {
  /** Undefined where the declaration has none that can be read: it is refused then. */
  readonly condition: RouteCondition | undefined;
  readonly model: string;
  readonly field: string;
}

/** Chooses a model by a tensor's value, row by row. */
export interface RouterPlan {
  /** One element a row. */
  readonly tensor: string;
  readonly routes: readonly RoutePlan[];
  /** Empty where rows that no route takes are refused. */
  readonly otherwise: string;
  readonly models: readonly string[];
  readonly field: string;
}

/** Reads a router. @param violations is added to, for every rule that is broken. */
export const routerPlan = (router: Router, field: string, violations: FieldViolation[]): RouterPlan => {
  const routes = router.routes.map((route, index): RoutePlan => {
    const own = `${field}.routes[${index}]`;
    const condition = conditionOf(route);
    if (condition === undefined) {
      violations.push({
        field: own,
        expected: "equals with a number, a text or a bool, less_than, or at_least",
        got: route.condition.case ?? "no condition",
      });
    }
    return { condition, model: route.model, field: own };
  });
  const kinds = new Set(routes.flatMap(({ condition }) => (condition === undefined ? [] : typeof condition.value)));
  if (kinds.size > 1) {
    violations.push({
      field: `${field}.routes`,
      expected: "conditions of one kind",
      got: [...kinds].join(" and "),
    });
  }
  const { tensor, otherwise } = router;
  const models = [...routes.map(({ model }) => model), ...(otherwise === "" ? [] : [otherwise])];
  return { tensor, routes, otherwise, models, field };
};

const conditionOf = ({ condition }: Route): RouteCondition | undefined => {
  switch (condition.case) {
    case "equals": {
      const { kind } = condition.value;
      if (kind.case === "numberValue" && Number.isNaN(kind.value)) return undefined;
      return kind.case === "numberValue" || kind.case === "stringValue" || kind.case === "boolValue"
        ? { kind: "equals", value: kind.value }
        : undefined;
    }
    case "lessThan":
      return Number.isNaN(condition.value) ? undefined : { kind: "less_than", value: condition.value };
    case "atLeast":
      return Number.isNaN(condition.value) ? undefined : { kind: "at_least", value: condition.value };
    case undefined:
      return undefined;
  }
};

/** The kind of values that a router's conditions are of: a tensor of another kind could take no route. */
export const routedKind = ({ routes }: RouterPlan): "number" | "string" | "boolean" => {
  const value = routes.find(({ condition }) => condition !== undefined)?.condition?.value;
  return typeof value === "string" ? "string" : typeof value === "boolean" ? "boolean" : "number";
};

/** The kind of values that a tensor has. */
export const kindOf = (datatype: Datatype): "number" | "string" | "boolean" =>
  datatype === "BYTES" ? "string" : datatype === "BOOL" ? "boolean" : "number";

/**
 * The datatype of a router's tensor that nothing gives and no model reads: BYTES for texts, BOOL for bools, INT64 where
 * each condition is `equals` with a whole number, else FP64.
 */
export const routedDatatype = (router: RouterPlan): Datatype => {
  const kind = routedKind(router);
  if (kind === "string") return "BYTES";
  if (kind === "boolean") return "BOOL";
  const whole = router.routes.every(
    ({ condition }) => condition?.kind === "equals" && Number.isSafeInteger(condition.value),
  );
  return whole ? "INT64" : "FP64";
};

/** The elements of a router's tensor, as its conditions are compared with. INT64 and UINT64 are read exactly. */
export const routedValues = ({ name, datatype, data }: Tensor, rows: number): readonly RoutedValue[] => {
  if (datatype === "BYTES") return decodeStrings(name, data, rows);
  const view = typedView(datatype, data);
  if (datatype === "BOOL") return Array.from(view as Uint8Array, (byte) => byte !== 0);
  if (datatype === "FP16") return Array.from(view as Uint16Array, halfToNumber);
  return Array.from(view as ArrayLike<number | bigint>);
};

export type RoutedValue = number | bigint | string | boolean;

/**
 * Whether a value fulfils a condition. NaN fulfils none. A condition on FP32 or FP16 is rounded to it first: 0.1 means
 * the FP32 that is written so.
 */
export const takes = (condition: RouteCondition, value: RoutedValue, datatype: Datatype): boolean => {
  if (condition.kind === "equals") {
    if (typeof condition.value !== "number") return value === condition.value;
    if (typeof value === "bigint") return Number.isInteger(condition.value) && value === BigInt(condition.value);
    return value === rounded(condition.value, datatype);
  }
  if (typeof value !== "number" && typeof value !== "bigint") return false;
  const limit = rounded(condition.value, datatype);
  return condition.kind === "less_than" ? value < limit : value >= limit;
};

const rounded = (value: number, datatype: Datatype): number =>
  datatype === "FP32" ? Math.fround(value) : datatype === "FP16" ? Math.f16round(value) : value;

/** A condition in words: `equals NL`. */
export const conditionText = (condition: RouteCondition | undefined): string =>
  condition === undefined ? "nothing" : `${condition.kind.replace("_", " ")} ${condition.value}`;
