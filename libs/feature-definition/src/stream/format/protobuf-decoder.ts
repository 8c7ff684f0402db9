import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor/index.js";
import { type Members, type RecordDecoder, RecordMalformedError, StreamSchemaInvalidError } from "./record-decoder.ts";

/**
 * Records that are messages of a type. Fields have the names of the .proto file. Timestamps become microseconds, the
 * wrappers of google.protobuf their value, enums their word. What has presence and is not set is null; what has none has
 * the type's zero.
 */
export const protobufDecoder = (type: protobuf.Type): RecordDecoder => {
  const fields = type.fieldsArray;
  return {
    names: fields.map(({ name }) => name),
    decode: (value) => {
      let message: protobuf.Message;
      try {
        message = type.decode(value);
      } catch (error) {
        const detail = error instanceof Error ? error.message : String(error);
        throw new RecordMalformedError(`a ${typeName(type)} was expected: ${detail.slice(0, 200)}`);
      }
      const members: Record<string, unknown> = {};
      for (const field of fields) members[field.name] = memberOf(message, field);
      return members as Members;
    },
  };
};

/** @param descriptorSet a FileDescriptorSet with all imports. @throws StreamSchemaInvalidError */
export const typeOfDescriptors = (descriptorSet: Uint8Array, name: string): protobuf.Type => {
  let root: protobuf.Root;
  try {
    root = rootOf(descriptor.FileDescriptorSet.decode(descriptorSet));
    root.resolveAll();
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new StreamSchemaInvalidError(
      `descriptor_set is no FileDescriptorSet with all imports: ${detail.slice(0, 200)}`,
    );
  }
  return lookUp(root, name);
};

// The extension adds it to the class; its types say so of another declaration of the package.
const rootOf: (set: protobuf.Message) => protobuf.Root = Reflect.get(protobuf.Root, "fromDescriptor").bind(
  protobuf.Root,
);

const keepCase = { keepCase: true };

/** A .proto file, and those that it imports by their path. */
export interface ProtoText {
  readonly text: string;
  readonly imports: readonly { readonly path: string; readonly text: string }[];
}

/**
 * The message of a .proto file at a place: the index of a message of the file, then of those in it, as Confluent's
 * serializers count. @throws StreamSchemaInvalidError
 */
export const typeOfText = ({ text, imports }: ProtoText, place: readonly number[]): protobuf.Type => {
  const root = new protobuf.Root();
  try {
    for (const known of ["timestamp", "wrappers", "duration", "struct", "any", "empty"]) {
      const nested = protobuf.common.get(`google/protobuf/${known}.proto`)?.nested;
      if (nested !== undefined) root.addJSON(nested);
    }
    for (const { path, text: imported } of imports) {
      if (!path.startsWith("google/protobuf/")) protobuf.parse(imported, root, keepCase);
    }
    const own = protobuf.parse(text, new protobuf.Root(), keepCase);
    const names = messagesOf(own.root, own.package);
    protobuf.parse(text, root, keepCase);
    root.resolveAll();
    const [first = 0, ...inner] = place;
    let found: protobuf.ReflectionObject | null | undefined = root.lookup(names[first] ?? "");
    for (const index of inner) found = nestedTypes(found)[index];
    if (found instanceof protobuf.Type) return found;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new StreamSchemaInvalidError(`the schema is no .proto file that can be read: ${detail.slice(0, 200)}`);
  }
  throw new StreamSchemaInvalidError(`the .proto file has no message at ${place.join(".")}`);
};

export const typeName = (type: protobuf.Type): string => type.fullName.replace(/^\./, "");

const lookUp = (root: protobuf.Root, name: string): protobuf.Type => {
  const found = root.lookup(name);
  if (found instanceof protobuf.Type) return found;
  throw new StreamSchemaInvalidError(`the descriptors have no message ${JSON.stringify(name)}`);
};

/** The full names of a file's messages, in its order. */
const messagesOf = (root: protobuf.Root, packageName: string | undefined): string[] =>
  nestedTypes(packageName === undefined ? root : root.lookup(packageName)).map(typeName);

const nestedTypes = (of: protobuf.ReflectionObject | null | undefined): protobuf.Type[] =>
  of instanceof protobuf.Namespace ? of.nestedArray.filter((inner) => inner instanceof protobuf.Type) : [];

const memberOf = (message: protobuf.Message, field: protobuf.Field): unknown => {
  if (field.map) return undefined;
  if (field.repeated) return Array.from(Reflect.get(message, field.name) ?? [], (item) => plain(item, field));
  if (Object.hasOwn(message, field.name)) return plain(Reflect.get(message, field.name), field);
  return field.hasPresence ? null : plain(field.typeDefault, field);
};

const plain = (value: unknown, { resolvedType }: protobuf.Field): unknown => {
  if (isLong(value)) return BigInt(String(value));
  if (resolvedType instanceof protobuf.Enum) return resolvedType.valuesById[Number(value)] ?? String(value);
  if (!(resolvedType instanceof protobuf.Type) || typeof value !== "object" || value === null) {
    return value;
  }
  const name = typeName(resolvedType);
  if (name === "google.protobuf.Timestamp") {
    const nanoseconds = Number(Reflect.get(value, "nanos") ?? 0);
    return BigInt(String(Reflect.get(value, "seconds") ?? 0)) * 1_000_000n + BigInt(Math.floor(nanoseconds / 1000));
  }
  const wrapped = /^google\.protobuf\.\w+Value$/.test(name) ? resolvedType.fields.value : undefined;
  return wrapped === undefined ? value : memberOf(value as protobuf.Message, wrapped);
};

/** 64 bits, as the library has them. */
const isLong = (value: unknown): boolean =>
  typeof value === "object" && value !== null && "low" in value && "high" in value && "unsigned" in value;
