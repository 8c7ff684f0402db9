import type { DescField, DescMessage, MessageShape } from "@bufbuild/protobuf";
import {
  isReflectList,
  isReflectMap,
  isReflectMessage,
  type ReflectMessage,
  reflect,
} from "@bufbuild/protobuf/reflect";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import type { WritableJson } from "@millrace/rest";

/**
 * A message of the contract as Triton's REST form has it: the names of the proto, 64-bit integers as numbers, and fields
 * without presence also where they have their default.
 */
export const messageJson = <D extends DescMessage>(schema: D, message: MessageShape<D>): WritableJson =>
  objectJson(reflect(schema, message));

const objectJson = (message: ReflectMessage): WritableJson => {
  const object: Record<string, WritableJson> = {};
  for (const field of message.fields) {
    const implicit = field.presence === FeatureSet_FieldPresence.IMPLICIT && field.oneof === undefined;
    const repeated = field.fieldKind === "list" || field.fieldKind === "map";
    if (implicit || repeated || message.isSet(field)) object[field.name] = fieldJson(field, message.get(field));
  }
  return object;
};

const fieldJson = (field: DescField, value: unknown): WritableJson => {
  if (isReflectMessage(value)) return objectJson(value);
  if (isReflectList(value)) return Array.from(value, (each) => fieldJson(field, each));
  if (isReflectMap(value)) {
    return Object.fromEntries(Array.from(value, ([key, each]) => [String(key), fieldJson(field, each)]));
  }
  if (field.enum !== undefined) return field.enum.value[Number(value)]?.name ?? Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return value;
  throw new TypeError(`The field ${field.name} has a value that JSON has no form for.`);
};
