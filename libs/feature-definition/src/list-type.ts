import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";

const pairs: readonly (readonly [element: ValueType, list: ValueType])[] = [
  [ValueType.BOOL, ValueType.BOOL_LIST],
  [ValueType.INT64, ValueType.INT64_LIST],
  [ValueType.DOUBLE, ValueType.DOUBLE_LIST],
  [ValueType.FLOAT, ValueType.FLOAT_LIST],
  [ValueType.STRING, ValueType.STRING_LIST],
  [ValueType.BYTES, ValueType.BYTES_LIST],
  [ValueType.TIMESTAMP, ValueType.TIMESTAMP_LIST],
];
const lists = new Map(pairs);
const elements = new Map(pairs.map(([element, list]) => [list, element]));

/** The types of lists. */
export const listTypes: readonly ValueType[] = pairs.map(([, list]) => list);

/** The type of a list of values; undefined for a list, of which there are no lists. */
export const listType = (element: ValueType): ValueType | undefined => lists.get(element);

/** The type of a list's elements; undefined where the type is no list. */
export const elementType = (list: ValueType): ValueType | undefined => elements.get(list);
