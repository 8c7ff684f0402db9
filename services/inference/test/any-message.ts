import { create, type DescField, type DescMessage, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import fc from "fast-check";

/** Any message of a descriptor, nested to a depth. Strings and numbers are spread over all that their fields may hold. */
export const anyMessage = <Desc extends DescMessage>(desc: Desc, depth = 3): fc.Arbitrary<MessageShape<Desc>> =>
  fc
    .tuple(...desc.fields.map((field) => fc.option(anyValue(field, depth), { nil: undefined, freq: 1 })))
    .map((values) => {
      const message = reflect(desc, create(desc));
      for (const [index, value] of values.entries()) {
        const field = desc.fields[index];
        if (field === undefined || value === undefined) continue;
        // The later of two members of a oneof stays, as everywhere in protobuf.
        if (field.fieldKind === "list")
          for (const item of value as unknown[]) message.get(field).add(wrapped(field, item));
        else if (field.fieldKind === "map") {
          for (const [key, item] of value as [string, unknown][]) message.get(field).set(key, wrapped(field, item));
        } else message.set(field, wrapped(field, value));
      }
      return message.message as MessageShape<Desc>;
    });

const wrapped = (field: DescField, value: unknown): unknown =>
  field.message === undefined ? value : reflect(field.message, value as MessageShape<DescMessage>);

const anyValue = (field: DescField, depth: number): fc.Arbitrary<unknown> => {
  const one = (): fc.Arbitrary<unknown> => {
    if (field.message !== undefined) {
      return depth === 0 ? fc.constant(create(field.message)) : anyMessage(field.message, depth - 1);
    }
    if (field.enum !== undefined) return fc.constantFrom(...field.enum.values.map(({ number }) => number));
    return anyScalar(field.scalar ?? ScalarType.STRING);
  };
  if (field.fieldKind === "list") return fc.array(one(), { maxLength: 2 });
  if (field.fieldKind === "map") {
    const key = anyScalar(field.mapKey);
    return fc.uniqueArray(fc.tuple(key, one()), { maxLength: 2, selector: ([key]) => key });
  }
  return one();
};

const anyScalar = (type: ScalarType): fc.Arbitrary<string | number | bigint | boolean | Uint8Array> => {
  switch (type) {
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.STRING:
      return fc.string({
        unit: fc.oneof(
          fc.constantFrom("\\", "'", '"', "\n", "\0", "#", "7"),
          fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
        ),
        maxLength: 8,
      });
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 8 });
    case ScalarType.DOUBLE:
      return fc.double();
    case ScalarType.FLOAT:
      return fc.float();
    case ScalarType.INT64:
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case ScalarType.UINT64:
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case ScalarType.UINT32:
      return fc.nat({ max: 2 ** 32 - 1 });
    default:
      return fc.integer();
  }
};

/** Chooses among the ways to write the same: called with the number of ways. */
export type Choose = (ways: number) => number;

/** Writes a message in the protobuf text format, each thing in one of the ways that it may be written in. */
export const toTextFormat = (desc: DescMessage, message: MessageShape<DescMessage>, choose: Choose): string =>
  fieldsText(reflect(desc, message), choose);

const fieldsText = (message: ReflectMessage, choose: Choose): string => {
  let text = "";
  for (const field of message.desc.fields) {
    if (!message.isSet(field)) continue;
    const end = [" ", ", ", ";\n", " # a remark } \n"][choose(4)] ?? " ";
    if (field.fieldKind === "map") {
      for (const [key, value] of message.get(field)) {
        const keyText = `key: ${scalarText(field.mapKey, key, choose)}`;
        const valueText = `value${itemText(field, value, choose)}`;
        const both = choose(2) === 0 ? `${keyText} ${valueText}` : `${valueText}, ${keyText}`;
        text += `${field.name}${bracketed(both, choose)}${end}`;
      }
    } else if (field.fieldKind === "list") {
      const items = [...message.get(field)];
      if (choose(2) === 0) {
        const inside = items.map((item) => itemText(field, item, choose).replace(/^\s*:/, "")).join(",");
        text += `${field.name}: [${inside}]${end}`;
      } else for (const item of items) text += `${field.name}${itemText(field, item, choose)}${end}`;
    } else text += `${field.name}${itemText(field, message.get(field), choose)}${end}`;
  }
  return text;
};

const bracketed = (inside: string, choose: Choose): string =>
  [` {${inside}}`, `: { ${inside} }`, ` <${inside}>`, `:\n<${inside}\n>`][choose(4)] ?? "";

const itemText = (field: DescField, value: unknown, choose: Choose): string => {
  if (field.message !== undefined) return bracketed(fieldsText(value as ReflectMessage, choose), choose);
  if (field.enum !== undefined) {
    const name = field.enum.values.find(({ number }) => number === value)?.name;
    return `: ${choose(2) === 0 ? name : String(value)}`;
  }
  return `: ${scalarText(field.scalar ?? ScalarType.STRING, value, choose)}`;
};

const scalarText = (type: ScalarType, value: unknown, choose: Choose): string => {
  if (typeof value === "boolean") return value ? (["true", "True", "t", "1"][choose(4)] ?? "") : "false";
  if (typeof value === "string") return stringText(Buffer.from(value), value, choose);
  if (value instanceof Uint8Array) return stringText(value, undefined, choose);
  if (type === ScalarType.DOUBLE || type === ScalarType.FLOAT) {
    const number = value as number;
    if (Number.isNaN(number)) return "nan";
    if (!Number.isFinite(number)) return `${number < 0 ? "-" : ""}${["inf", "Infinity", "INF"][choose(3)]}`;
    const sign = number < 0 || Object.is(number, -0) ? (["-", "- "][choose(2)] ?? "-") : "";
    return `${sign}${Math.abs(number)}${choose(2) === 0 ? "f" : ""}`;
  }
  const integer = BigInt(value as number | bigint);
  const magnitude = integer < 0n ? -integer : integer;
  const digits = [`${magnitude}`, `0x${magnitude.toString(16)}`, `0${magnitude.toString(8)}`][choose(3)];
  return `${integer < 0n ? "-" : ""}${digits}`;
};

const stringText = (bytes: Uint8Array, text: string | undefined, choose: Choose): string => {
  const quote = choose(2) === 0 ? '"' : "'";
  if (text !== undefined && choose(2) === 0 && !/["'\\\n]/.test(text)) return `${quote}${text}${quote}`;
  const parts = [...bytes].map((byte) => {
    if (choose(3) === 0) return `\\${byte.toString(8).padStart(3, "0")}`;
    // A hexadecimal escape takes one digit or two: two are unambiguous.
    return `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  if (choose(3) > 0 || parts.length < 2) return `${quote}${parts.join("")}${quote}`;
  const half = Math.floor(parts.length / 2);
  return `${quote}${parts.slice(0, half).join("")}${quote}\n"${parts.slice(half).join("")}"`;
};
