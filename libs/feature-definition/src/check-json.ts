import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import type { FieldViolation } from "@millrace/errors";

/**
 * Compares a JSON value with a message, and names everything in it that the protobuf JSON mapping would refuse: unknown
 * members, values of another kind, unknown words of an enum. `fromJson` stops at the first; a person wants them all.
 * @param path where the value stands; empty at the top.
 */
export const checkJson = (value: unknown, message: DescMessage, path = ""): FieldViolation[] => {
  if (!isObject(value)) return [{ field: path || ".", expected: `a mapping (${message.name})`, got: describe(value) }];
  const problems: FieldViolation[] = [];
  const set = new Map<string, string>();
  for (const [key, member] of Object.entries(value)) {
    const field = message.fields.find(({ jsonName, name }) => jsonName === key || name === key);
    const place = path === "" ? key : `${path}.${key}`;
    if (field === undefined) {
      const known = message.fields.map(({ jsonName }) => jsonName).join(", ");
      problems.push({ field: place, expected: `one of ${known}`, got: `the unknown key ${JSON.stringify(key)}` });
      continue;
    }
    const group = field.oneof?.name ?? field.name;
    const earlier = set.get(group);
    if (earlier !== undefined && member !== null) {
      problems.push({ field: place, expected: `only one of ${earlier} and ${key}`, got: "both" });
    }
    if (member !== null) set.set(group, key);
    problems.push(...checkField(member, field, place));
  }
  return problems;
};

const checkField = (value: unknown, field: DescField, place: string): FieldViolation[] => {
  if (value === null) return [];
  switch (field.fieldKind) {
    case "list": {
      if (!Array.isArray(value)) return [{ field: place, expected: "a list", got: describe(value) }];
      return value.flatMap((element, index) => {
        const at = `${place}[${index}]`;
        if (field.listKind === "message") return checkJson(element, field.message, at);
        if (field.listKind === "enum") return checkEnum(element, field.enum.values, at);
        return checkScalar(element, field.scalar, at);
      });
    }
    case "map": {
      if (!isObject(value)) return [{ field: place, expected: "a mapping", got: describe(value) }];
      return Object.entries(value).flatMap(([key, element]) =>
        field.mapKind === "scalar" ? checkScalar(element, field.scalar, `${place}.${key}`) : [],
      );
    }
    case "message":
      return checkJson(value, field.message, place);
    case "enum":
      return checkEnum(value, field.enum.values, place);
    case "scalar":
      return checkScalar(value, field.scalar, place);
  }
};

const checkEnum = (value: unknown, values: readonly { readonly name: string }[], place: string): FieldViolation[] =>
  values.some(({ name }) => name === value)
    ? []
    : [
        {
          field: place,
          expected: `one of ${values
            .slice(1)
            .map(({ name }) => name)
            .join(", ")}`,
          got: describe(value),
        },
      ];

const checkScalar = (value: unknown, scalar: ScalarType, place: string): FieldViolation[] => {
  const expected = expectedScalar(value, scalar);
  return expected === undefined ? [] : [{ field: place, expected, got: describe(value) }];
};

/** What was expected instead of the value; undefined if it fits. */
const expectedScalar = (value: unknown, scalar: ScalarType): string | undefined => {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return typeof value === "string" ? undefined : "a text (put it in quotes)";
    case ScalarType.BOOL:
      return typeof value === "boolean" ? undefined : "true or false";
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return typeof value === "number" ? undefined : "a number";
    case ScalarType.UINT32:
      return Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 32
        ? undefined
        : "a whole number from 0";
    default:
      return Number.isInteger(value) ? undefined : "a whole number";
  }
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const describe = (value: unknown): string => {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a mapping" : JSON.stringify(value);
};
