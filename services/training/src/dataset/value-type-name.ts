import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";

/** The contract's word for a type, such as `INT64`. */
export const valueTypeName = (type: ValueType | undefined): string =>
  Object.entries(ValueType).find(([, number]) => number === type)?.[0] ?? String(type);
