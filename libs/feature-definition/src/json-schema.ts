import {
  createFileRegistry,
  type DescEnum,
  type DescField,
  type DescMessage,
  fromBinary,
  getOption,
  hasOption,
  type JsonObject,
  ScalarType,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import {
  type FieldRules,
  FieldRulesSchema,
  field as fieldRules,
  oneof as oneofRules,
} from "@millrace/contracts/buf/validate/validate";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { ProtoComments } from "./proto-comments.ts";

/**
 * What the whole of a message must have beside the rules of its fields: rules that `compileRepository` checks and the
 * contract says in words.
 */
const wholes: Readonly<Record<string, JsonObject>> = {
  "millrace.feature.v1.FeatureView": { oneOf: [{ required: ["aggregates"] }, { required: ["features"] }] },
  "millrace.feature.v1.Source": { anyOf: [{ required: ["batch"] }, { required: ["stream"] }] },
};

/**
 * The JSON Schema (draft 7, which editors read) of a feature repository's YAML file, from the contract: names, types, enums,
 * patterns and bounds, and its comments as descriptions. It is a little stricter than reading: it wants lowerCamelCase
 * names, and no key without a value.
 * @param descriptors a FileDescriptorSet with source information, as `buf build --as-file-descriptor-set` writes it.
 * @throws TypeError for a rule of the contract that has no translation here.
 */
export const repositoryJsonSchema = (descriptors: Uint8Array): JsonObject => {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
  const root = registry.getMessage(FeatureRepositorySchema.typeName);
  if (root === undefined) throw new TypeError(`The descriptors have no ${FeatureRepositorySchema.typeName}.`);
  const definitions = new Map<string, JsonObject>();
  const comments = new ProtoComments();
  const refer = (type: DescMessage | DescEnum): JsonObject => {
    const name = definitionName(type);
    if (!definitions.has(name)) {
      definitions.set(name, {});
      definitions.set(name, type.kind === "enum" ? enumSchema(type, comments) : messageSchema(type, comments, refer));
    }
    return { $ref: `#/definitions/${name}` };
  };
  const whole = messageSchema(root, comments, refer);
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "millrace feature repository",
    ...whole,
    definitions: Object.fromEntries([...definitions].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
};

type Refer = (type: DescMessage | DescEnum) => JsonObject;

const messageSchema = (message: DescMessage, comments: ProtoComments, refer: Refer): JsonObject => {
  const properties: JsonObject = {};
  const required: string[] = [];
  for (const field of message.fields) {
    const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
    const description = comments.of(field);
    const schema = fieldSchema(field, rules, refer);
    properties[field.jsonName] =
      description === "" ? schema : "$ref" in schema ? { description, allOf: [schema] } : { description, ...schema };
    if (isRequired(field, rules)) required.push(field.jsonName);
  }
  const exclusive = message.oneofs.map((oneof): JsonObject => {
    const one = oneof.fields.map(({ jsonName }): JsonObject => ({ required: [jsonName] }));
    const isNeeded = hasOption(oneof, oneofRules) && getOption(oneof, oneofRules).required;
    return { oneOf: isNeeded ? one : [...one, { not: { anyOf: one } }] };
  });
  const description = comments.of(message);
  return {
    ...(description === "" ? {} : { description }),
    type: "object",
    properties,
    additionalProperties: false,
    ...(required.length === 0 ? {} : { required }),
    ...wholes[message.typeName],
    ...(exclusive.length === 0 ? {} : { allOf: exclusive }),
  };
};

const fieldSchema = (field: DescField, rules: FieldRules | undefined, refer: Refer): JsonObject => {
  const bounds = translated(field, rules);
  switch (field.fieldKind) {
    case "list": {
      const items =
        field.listKind === "message"
          ? refer(field.message)
          : field.listKind === "enum"
            ? refer(field.enum)
            : scalarSchema(field.scalar);
      return { type: "array", items, ...bounds };
    }
    case "map":
      if (field.mapKind !== "scalar") throw new TypeError(`${field}: only maps of scalars have a translation.`);
      return { type: "object", additionalProperties: scalarSchema(field.scalar), ...bounds };
    case "message":
      return refer(field.message);
    case "enum":
      return refer(field.enum);
    case "scalar":
      return { ...scalarSchema(field.scalar), ...bounds };
  }
};

const scalarSchema = (scalar: ScalarType): JsonObject => {
  switch (scalar) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BYTES:
      return { type: "string", contentEncoding: "base64", pattern: "^[A-Za-z0-9+/]*={0,2}$" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: "number" };
    case ScalarType.UINT32:
      return { type: "integer", minimum: 0, maximum: 2 ** 32 - 1 };
    default:
      throw new TypeError(`There is no translation of ${ScalarType[scalar]}.`);
  }
};

/** The words of an enum, without the one that stands for none. */
const enumSchema = (type: DescEnum, comments: ProtoComments): JsonObject => {
  const values = type.values.filter(({ number }) => number !== 0);
  const words = values.flatMap((value) => {
    const comment = comments.of(value);
    return comment === "" ? [] : [`${value.name}: ${comment}`];
  });
  const description = [comments.of(type), ...words].filter((text) => text !== "").join("\n");
  return {
    ...(description === "" ? {} : { description }),
    type: "string",
    enum: values.map(({ name }) => name),
  };
};

/** The rules of a field as keywords. */
const translated = (field: DescField, rules: FieldRules | undefined): JsonObject => {
  const schema: JsonObject = {};
  for (const [path, value] of rules === undefined ? [] : rulesOf(rules)) {
    if (path === "string.pattern") schema.pattern = withoutEmpty(String(value));
    else if (path === "string.min_len") schema.minLength = Number(value);
    else if (path === "repeated.min_items") schema.minItems = Number(value);
    else if (path === "map.min_pairs") schema.minProperties = Number(value);
    else if (path === "cel") schema.pattern = patternOfCel(String(value), field);
    // An enum's words are those that are defined, without the one for none: see enumSchema.
    else if (path !== "required" && path !== "enum.defined_only" && path !== "enum.not_in")
      throw new TypeError(`${field}: the rule ${path} has no translation to JSON Schema.`);
  }
  return schema;
};

/** Each rule that is set, as `string.pattern` and its value. */
const rulesOf = (rules: FieldRules): [path: string, value: unknown][] => {
  const message = reflect(FieldRulesSchema, rules);
  return message.fields.flatMap((rule): [string, unknown][] => {
    if (!message.isSet(rule)) return [];
    if (rule.fieldKind !== "message") return rule.name === "cel" ? celOf(rules) : [[rule.name, message.get(rule)]];
    const inner = message.get(rule);
    return inner.fields.flatMap((one): [string, unknown][] =>
      inner.isSet(one) ? [[`${rule.name}.${one.name}`, inner.get(one)]] : [],
    );
  });
};

const celOf = ({ cel }: FieldRules): [string, string][] => cel.map(({ expression }) => ["cel", expression]);

const patternOfCel = (expression: string, field: DescField): string => {
  const pattern = /^this == '' \|\| this\.matches\('([^']*)'\)$/.exec(expression)?.[1];
  if (pattern === undefined) throw new TypeError(`${field}: the expression ${expression} has no translation.`);
  return pattern;
};

/** What may be empty may be left out: an editor need not offer the empty text. */
const withoutEmpty = (pattern: string): string =>
  /^\^\((.*)\)\?\$$/.exec(pattern)?.[1]?.replace(/^/, "^").replace(/$/, "$") ?? pattern;

/** Whether leaving the field out breaks its own rules. */
const isRequired = (field: DescField, rules: FieldRules | undefined): boolean => {
  if (rules === undefined || field.oneof !== undefined) return false;
  return rulesOf(rules).some(([path, value]) => {
    if (path === "string.pattern") return !new RegExp(String(value)).test("");
    if (path === "required") return value === true;
    return ["string.min_len", "repeated.min_items", "map.min_pairs", "enum.not_in"].includes(path);
  });
};

const definitionName = (type: DescMessage | DescEnum): string =>
  type.typeName.slice(type.file.proto.package.length + 1);
