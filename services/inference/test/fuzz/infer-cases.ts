import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type InferParameterSchema,
  type InferTensorContentsSchema,
  ModelInferRequestSchema,
} from "@millrace/contracts/inference/grpc_service";
import { encodeStrings } from "@millrace/tensor";
import { mutate, type Random } from "./random.ts";

/** The models that the cases are for: `x` to `y` of two columns each, named by the datatype; and one that is not there. */
const models = [
  "identity-FP32",
  "identity-INT64",
  "identity-BYTES",
  "identity-FP16",
  "identity-BOOL",
  "nobody",
] as const;
const datatypes = ["FP32", "INT64", "BYTES", "FP16", "BOOL", "BF16", "", "fp32", "UINT64", "INT8"] as const;
const sizes: Readonly<Record<string, number>> = { FP32: 4, INT64: 8, FP16: 2, BOOL: 1, UINT64: 8, INT8: 1 };
const dimensions = [
  0n,
  1n,
  2n,
  2n,
  2n,
  3n,
  128n,
  129n,
  -1n,
  -(2n ** 63n),
  2n ** 31n,
  2n ** 53n,
  2n ** 63n - 1n,
] as const;

/** A model, the datatype that it has, and one that a request claims, which is mostly the same. */
export const someTarget = (random: Random) => {
  const model = random.pick(models);
  const own = model.replace("identity-", "");
  return { model, datatype: random.chance(0.8) && own !== "nobody" ? own : random.pick(datatypes) };
};

/** A shape that mostly fits. */
export const someShape = (random: Random): bigint[] =>
  random.chance(0.8)
    ? [BigInt(random.below(4)), 2n]
    : Array.from({ length: random.below(5) }, () => random.pick(dimensions));

/** The bytes of a tensor, mostly as many as its shape asks for. */
export const someData = (random: Random, datatype: string, shape: readonly bigint[]): Uint8Array => {
  const count = shape.reduce((product, dimension) => product * dimension, 1n);
  const elements = count >= 0n && count < 1000n && random.chance(0.9) ? Number(count) : random.below(40);
  if (datatype !== "BYTES")
    return random.bytes(elements * (sizes[datatype] ?? random.below(9)) + Number(random.chance(0.1)));
  const words = encodeStrings(
    Array.from({ length: elements }, () =>
      random.chance(0.02) ? "\0" : random.pick(["", "a", "é", "long ".repeat(20), "\u{1f600}"]),
    ),
  );
  // A length that points anywhere.
  if (random.chance(0.2) && words.length >= 4) words.set(random.bytes(4), random.below(words.length - 3));
  return words;
};

const someChoice = (random: Random) =>
  random.pick<NonNullable<MessageInitShape<typeof InferParameterSchema>["parameterChoice"]>>([
    { case: "boolParam", value: random.chance(0.5) },
    { case: "int64Param", value: random.pick([0n, 1n, -1n, 3n, 2n ** 62n, -(2n ** 63n)]) },
    { case: "uint64Param", value: random.pick([0n, 1n, 2n ** 64n - 1n]) },
    { case: "doubleParam", value: random.pick([0, Number.NaN, 1e308]) },
    { case: "stringParam", value: random.pick(["", "a", "1"]) },
    { case: undefined },
  ]);

const names = [
  [
    "priority",
    "timeout",
    "sequence_id",
    "triton_enable_empty_final_response",
    "triton_x",
    "traceparent",
    "mine",
    "__proto__",
  ],
  ["shared_memory_region", "shared_memory_byte_size", "shared_memory_offset", "binary_data_size", "constructor"],
  ["classification", "shared_memory_region", "shared_memory_byte_size", "binary_data", "toString"],
] as const;

const someParameters = (random: Random, of: 0 | 1 | 2) =>
  random.chance(0.85)
    ? {}
    : Object.fromEntries(
        Array.from({ length: 1 + random.below(3) }, () => [
          random.pick(names[of]),
          { parameterChoice: someChoice(random) },
        ]),
      );

const someContents = (random: Random): MessageInitShape<typeof InferTensorContentsSchema> =>
  random.pick<MessageInitShape<typeof InferTensorContentsSchema>>([
    { fp32Contents: [Number.NaN, 1, Infinity, -0].slice(random.below(4)) },
    { int64Contents: [1n, -(2n ** 63n), 3n, 4n].slice(random.below(4)) },
    { boolContents: [true, false] },
    { bytesContents: [random.bytes(3), new Uint8Array()] },
    { intContents: [2 ** 31 - 1, -1] },
    { fp64Contents: [1e308, Number.NaN] },
    {},
  ]);

/** The bytes of a request that mostly means something. */
export const someInferRequest = (random: Random): Uint8Array => {
  const { model, datatype } = someTarget(random);
  const typed = random.chance(0.15);
  const inputs = Array.from({ length: random.chance(0.9) ? 1 : random.below(4) }, () => ({ shape: someShape(random) }));
  const message = create(ModelInferRequestSchema, {
    modelName: model,
    modelVersion: random.chance(0.9) ? "" : random.pick(["1", "2", "v1", "99999999999999999999"]),
    id: random.chance(0.5) ? "" : "id".repeat(random.below(40)),
    parameters: someParameters(random, 0),
    inputs: inputs.map(({ shape }) => ({
      name: random.chance(0.95) ? "x" : random.pick(["", "y", "__proto__"]),
      datatype,
      shape,
      parameters: someParameters(random, 1),
      ...(typed || random.chance(0.05) ? { contents: someContents(random) } : {}),
    })),
    outputs: random.chance(0.6)
      ? []
      : Array.from({ length: 1 + random.below(3) }, () => ({
          name: random.chance(0.9) ? "y" : random.pick(["", "x"]),
          parameters: someParameters(random, 2),
        })),
    rawInputContents: typed ? [] : inputs.map(({ shape }) => someData(random, datatype, shape)),
  });
  const bytes = toBinary(ModelInferRequestSchema, message);
  return random.chance(0.6) ? bytes : mutate(random, bytes);
};
