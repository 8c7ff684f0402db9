import { create, type DescMessage, type Message, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";

/**
 * The one binary form of a message: fields in the order of their numbers, as protobuf-es writes them, and map entries
 * sorted by key, which protobuf leaves open. Equal messages give equal bytes. Unknown fields are left out: their order
 * is the order in which they came. The message itself is not changed.
 */
export const deterministicBinary = <Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): Uint8Array<ArrayBuffer> => toBinary(schema, sorted(schema, message), { writeUnknownFields: false });

const sorted = <Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): MessageShape<Desc> => {
  const copy = create(schema);
  copyFields(reflect(schema, message), reflect(schema, copy));
  return copy;
};

const sortedMessage = (source: ReflectMessage): ReflectMessage =>
  reflect(source.desc, sorted(source.desc, source.message as Message & MessageShape<DescMessage>));

const copyFields = (from: ReflectMessage, to: ReflectMessage): void => {
  for (const field of from.fields) {
    if (!from.isSet(field)) {
      continue;
    }
    if (field.fieldKind === "message") {
      to.set(field, sortedMessage(from.get(field)));
    } else if (field.fieldKind === "list") {
      const target = to.get(field);
      for (const item of from.get(field)) {
        target.add(field.listKind === "message" ? sortedMessage(item as ReflectMessage) : item);
      }
    } else if (field.fieldKind === "map") {
      const target = to.get(field);
      const entries = [...from.get(field)].sort(([a], [b]) => compareKeys(a, b));
      for (const [key, value] of entries) {
        target.set(key, field.mapKind === "message" ? sortedMessage(value as ReflectMessage) : value);
      }
    } else {
      to.set(field, from.get(field));
    }
  }
};

/** Map keys of one map are all text, all numbers or all booleans. */
const compareKeys = (a: unknown, b: unknown): number => {
  const [left, right] = [a, b] as [string, string];
  return left < right ? -1 : left > right ? 1 : 0;
};
