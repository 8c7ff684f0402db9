import type { Value } from "@millrace/contracts/feast/types/Value";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { type CompiledField, elementType, type Scalar } from "@millrace/feature-definition";
import { describe, type JsonValue, type WritableJson } from "@millrace/rest";
import { ColumnInvalidError, columnMessage } from "../column-values.ts";
import { fieldStatus, isNull } from "./answered-feature.ts";
import { feastValues } from "./feast-values.ts";
import type { OnlineColumn } from "./online-features.ts";
import { scalarOfText } from "./push-row.ts";

/*
 * Values of Feast's HTTP server in JSON: a timestamp is whole seconds, or text of ISO 8601 where a row is written; bytes
 * are base64; what is no finite number is the text of protobuf's JSON.
 */

const notFinite: ReadonlyMap<unknown, number> = new Map([
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
]);

/**
 * A value of a JSON body in the form of a field's type.
 * @param path where it stands in the body, for the error. @throws ColumnInvalidError
 */
export const scalarOfJson = (value: JsonValue, field: CompiledField, path: string): Scalar => {
  if (value === null) return null;
  const element = elementType(field.type);
  if (element === undefined) return elementOfJson(value, field, path);
  if (!Array.isArray(value)) throw new ColumnInvalidError(path, `an array for ${field.name}`, describe(value));
  const ofElement = { ...field, type: element };
  return value.map((each: JsonValue, index) => elementOfJson(each, ofElement, `${path}[${index}]`));
};

const elementOfJson = (value: JsonValue, field: CompiledField, path: string): Exclude<Scalar, null> => {
  const refused = (expected: string): ColumnInvalidError =>
    new ColumnInvalidError(path, `${expected} for ${field.name}`, describe(value));
  switch (field.type) {
    case ValueType.BOOL:
      if (typeof value === "boolean") return value;
      throw refused("true or false");
    case ValueType.STRING:
      if (typeof value === "string") return value;
      throw refused("text");
    case ValueType.BYTES:
      if (typeof value === "string" && /^[A-Za-z0-9+/]*={0,2}$/.test(value)) return Buffer.from(value, "base64");
      throw refused("text in base64");
    case ValueType.INT64:
      if (isWhole(value)) return BigInt(value);
      throw refused("a whole number of 64 bits");
    case ValueType.TIMESTAMP:
      if (isWhole(value)) return BigInt(value) * 1_000_000n;
      if (typeof value !== "string") throw refused("whole seconds since 1970, or text such as 2026-01-31T12:00:00Z");
      return scalarOfText(value, field, path);
    default: {
      const number = typeof value === "number" || typeof value === "bigint" ? Number(value) : notFinite.get(value);
      if (number === undefined) throw refused("a number");
      return field.type === ValueType.FLOAT ? Math.fround(number) : number;
    }
  }
};

const isWhole = (value: JsonValue): value is number | bigint =>
  typeof value === "bigint" ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value);

/** Of Feast's FieldStatus, by number. */
const statusNames = ["INVALID", "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"];

/** The answer of `/get-online-features`. */
export const onlineFeaturesJson = (columns: readonly OnlineColumn<JsonValue>[]): WritableJson => ({
  metadata: { feature_names: columns.map(({ name }) => name) },
  results: columns.map((one): WritableJson => {
    if (one.kind === "sent") {
      return {
        values: one.values as readonly WritableJson[],
        statuses: one.values.map(() => "PRESENT"),
        event_timestamps: one.values.map(() => timeJson(0)),
      };
    }
    const { column } = one;
    const values = feastValues(columnMessage(column), (row) => isNull(one, row));
    return {
      values: values.map(valueJson),
      statuses: Array.from(column.statuses(), (status) => statusNames[fieldStatus(status)] ?? "INVALID"),
      event_timestamps: Array.from({ length: column.rows }, (_, row) => timeJson(column.eventTimeUs(row))),
    };
  }),
  status: true,
});

const valueJson = ({ val }: Value): WritableJson => {
  const { value } = val;
  if (val.case === undefined || val.case === "nullVal" || value === undefined) return null;
  if (typeof value === "object" && "val" in value) return (value.val as readonly unknown[]).map(elementJson);
  return elementJson(value);
};

const elementJson = (value: unknown): WritableJson => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return value as WritableJson;
};

/** A time as protobuf's JSON has it, with as many digits of a second as it needs, by threes. */
const timeJson = (timeUs: number): string => {
  const ms = Math.floor(timeUs / 1000);
  const microseconds = timeUs - ms * 1000;
  const text = new Date(ms).toISOString();
  if (microseconds !== 0) return text.replace("Z", `${String(microseconds).padStart(3, "0")}Z`);
  return text.endsWith(".000Z") ? text.replace(".000Z", "Z") : text;
};
