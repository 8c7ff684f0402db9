import { deflateSync, gzipSync } from "node:zlib";
import { someData, someShape, someTarget } from "./infer-cases.ts";
import { mutate, type Random } from "./random.ts";

/** A request of the REST form. */
export interface RestCase {
  readonly path: string;
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

const values = [
  "null",
  "true",
  "0",
  "1",
  "-1",
  "1.5",
  "NaN",
  "Infinity",
  "-Infinity",
  "1e39",
  "1e999",
  "9223372036854775807",
  "9223372036854775808",
  "99999999999999999999999",
  '"a"',
  '"\\ud800"',
  '"\\u0000"',
  "[]",
  "{}",
  "[1]",
  '{"a":NaN}',
] as const;

const parameters = (random: Random, names: readonly [string, ...string[]]): string =>
  random.chance(0.85)
    ? ""
    : `,"parameters":{${Array.from({ length: 1 + random.below(2) }, () => `"${random.pick(names)}":${random.pick(values)}`)}}`;

/** A value that an element of each datatype may have. */
const fitting: Readonly<Record<string, string>> = { FP32: "1.5", INT64: "7", BYTES: '"é"', BOOL: "true" };

const someArray = (random: Random, datatype: string, shape: readonly bigint[], depth = 0): string => {
  const length = Number(shape[depth] ?? 1n);
  const count = length >= 0 && length < 20 && random.chance(0.95) ? length : random.below(4);
  const value = random.chance(0.9) ? (fitting[datatype] ?? "1") : undefined;
  const elements = random.chance(0.9) ? (depth === 0 ? product(shape) : count) : random.below(9);
  const element = () => value ?? random.pick(values);
  const nested = depth + 1 < shape.length && random.chance(0.6);
  return `[${Array.from({ length: nested ? count : elements }, () => (nested ? someArray(random, datatype, shape, depth + 1) : element()))}]`;
};

/** A request that mostly means something, as JSON alone or with bytes. */
export const someRestCase = (random: Random): RestCase => {
  const { model, datatype } = someTarget(random);
  const call = random.pick(["infer", "infer", "infer", "infer", "generate", "generate_stream"]);
  const path = `models/${model}${random.chance(0.9) ? "" : random.pick(["/versions/1", "/versions/7", "/versions/a", "%2f"])}/${call}`;
  if (call !== "infer") {
    return compressed(
      random,
      path,
      Buffer.from(`{"x":${random.chance(0.5) ? "[1,2]" : random.pick(values)},"mine":${random.pick(values)}}`),
      {},
    );
  }
  const shape = someShape(random);
  const binary = random.chance(0.4) ? someData(random, datatype, shape) : undefined;
  const size = random.chance(0.9) ? binary?.length : random.pick([-1, 0, 2 ** 40, 1e300]);
  const data =
    binary === undefined
      ? `,"data":${someArray(random, datatype, shape)}`
      : `,"parameters":{"binary_data_size":${size}}`;
  const inputNames = ["shared_memory_region", "shared_memory_byte_size", "binary_data_size"] as const;
  const outputNames = ["classification", "binary_data", "shared_memory_region", "shared_memory_byte_size"] as const;
  const json = Buffer.from(
    `{"id":${random.chance(0.9) ? '"a"' : random.pick(values)}${parameters(random, ["priority", "timeout", "triton_x", "binary_data_output", "__proto__"])},` +
      `"inputs":[{"name":"x","datatype":"${datatype}","shape":[${shape}]${data}${random.chance(0.9) ? "" : parameters(random, inputNames)}}]` +
      `${random.chance(0.6) ? "" : `,"outputs":[{"name":"y"${parameters(random, outputNames)}}]`}}`,
  );
  if (random.chance(0.05))
    return compressed(random, path, random.bytes(random.below(64)), { "inference-header-content-length": "0" });
  const length = random.chance(0.9) ? String(json.length) : random.pick(["0", "-1", "a", "99999", "1e3", "3"]);
  return compressed(
    random,
    path,
    Buffer.concat([json, binary ?? new Uint8Array()]),
    binary === undefined ? {} : { "inference-header-content-length": length },
  );
};

/** How many elements a shape has, where that is few. */
const product = (shape: readonly bigint[]): number => {
  const count = shape.reduce((all, dimension) => all * dimension, 1n);
  return count >= 0n && count < 100n ? Number(count) : 3;
};

const compressed = (random: Random, path: string, plain: Uint8Array, headers: RestCase["headers"]): RestCase => {
  const body = random.chance(0.6) ? plain : mutate(random, plain);
  if (random.chance(0.8)) return { path, body, headers };
  const [encoding, compress] = random.pick<readonly [string, (bytes: Uint8Array) => Uint8Array]>([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
    ["br", gzipSync],
  ]);
  const packed = compress(body);
  return {
    path,
    body: random.chance(0.7) ? packed : mutate(random, packed),
    headers: { ...headers, "content-encoding": encoding, "accept-encoding": encoding },
  };
};
