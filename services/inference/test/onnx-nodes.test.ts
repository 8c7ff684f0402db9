import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import {
  ModelProtoSchema,
  TensorProto_DataType as OnnxType,
  type TensorProto,
  TensorProtoSchema,
} from "@millrace/contracts/onnx/onnx";
import { bytesOf, type Datatype, elementBytes, encodeBytes, type Tensor, toNumbers, typedView } from "@millrace/tensor";
import { ModelInvalidError, OnnxSession } from "@millrace/tensor/onnxruntime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningInference, startInference } from "./start-inference.ts";
import { rawOutputs } from "./tensors.ts";

/**
 * The ONNX project's own tests of operators: about 1,600 small models with inputs. Whatever onnxruntime answers, the
 * service answers too. By default one in `stride` of them is run, from a place that the seed chooses;
 * `ONNX_NODE_TESTS=all` runs every one.
 */
const release = "1.19.1";
const folder = fileURLToPath(new URL("../../../.backing/onnx-node-tests", import.meta.url));
const data = join(folder, "onnx/backend/test/data/node");
const stride = process.env.ONNX_NODE_TESTS === "all" ? 1 : 12;
const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);

/** Why the tests cannot be had here; undefined where they are there. */
const install = (): string | undefined => {
  if (existsSync(join(data, "test_abs"))) return undefined;
  try {
    mkdirSync(folder, { recursive: true });
    const pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d", folder];
    execFileSync("python3", [...pip, `onnx==${release}`], { stdio: "pipe", timeout: 240_000 });
    const wheel = readdirSync(folder).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) return "pip gave no wheel";
    execFileSync("python3", ["-m", "zipfile", "-e", join(folder, wheel), folder], { stdio: "pipe" });
    rmSync(join(folder, wheel));
    return existsSync(join(data, "test_abs")) ? undefined : `onnx ${release} has no node tests`;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
  }
};

const missing = install();
if (missing !== undefined && process.env.CI === "true")
  throw new Error(`The ONNX node tests cannot be had: ${missing}`);

const models = mkdtempSync(join(tmpdir(), "millrace-onnx-"));
let service: RunningInference | undefined;

beforeAll(async () => {
  if (missing !== undefined) return;
  service = await startInference(["--models", models]);
}, 60_000);

afterAll(async () => {
  await service?.stop();
  rmSync(models, { recursive: true });
});

describe.skipIf(missing !== undefined)(
  `the ONNX project's node tests${missing === undefined ? "" : ` (skipped: ${missing})`}`,
  () => {
    const names = existsSync(data) ? readdirSync(data).sort() : [];
    const chosen = names.filter((_, index) => index % stride === seed % stride);

    test(`answer over gRPC what onnxruntime answers (seed ${seed}, ${chosen.length} of ${names.length})`, async () => {
      if (service === undefined) throw new TypeError("The service did not start.");
      const told = { equal: 0, refused: 0, failed: 0 };
      const wrong: string[] = [];
      for (const name of chosen) {
        const outcome = await compare(service, name).catch((error: unknown) => `${error}`);
        if (outcome === "equal" || outcome === "refused" || outcome === "failed") told[outcome]++;
        else wrong.push(`${name}: ${outcome}`);
      }
      console.info(`equal ${told.equal}, refused by both ${told.refused}, failed in both ${told.failed}`);
      expect(wrong).toEqual([]);
      expect(told.equal).toBeGreaterThan(chosen.length / 2);
    }, 3_600_000);
  },
);

/** `equal`; `refused`: neither loads it; `failed`: neither runs it; or what is wrong. */
const compare = async ({ oip }: RunningInference, name: string): Promise<string> => {
  const bytes = readFileSync(join(data, name, "model.onnx"));
  let session: OnnxSession | undefined;
  try {
    session = await OnnxSession.create(bytes);
  } catch (error) {
    if (!(error instanceof ModelInvalidError)) throw error;
  }
  writeFileSync(join(models, `${name}.onnx`), bytes);
  const refused = await oip.repositoryModelLoad({ modelName: name }).then(
    () => undefined,
    (error: Error) => error.message,
  );
  try {
    if (session === undefined) return refused === undefined ? "served, though onnxruntime does not load it" : "refused";
    if (refused !== undefined) return `refused: ${refused}`;
    const inputs = readInputs(name, session);
    if (inputs === undefined) return "refused";
    const answer = await oip
      .modelInfer({
        modelName: name,
        inputs: inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(BigInt) })),
        rawInputContents: inputs.map(({ data }) => data),
      })
      .catch((error: Error) => error);
    const expected = await session.run(inputs).catch((error: Error) => error);
    if (expected instanceof Error)
      return answer instanceof Error ? "failed" : `answered, though onnxruntime fails: ${expected.message}`;
    if (answer instanceof Error) return answer.message;
    return sameTensors(rawOutputs(answer), expected, isRandom(bytes));
  } finally {
    await session?.close();
    if (refused === undefined) await oip.repositoryModelUnload({ modelName: name });
    rmSync(join(models, `${name}.onnx`));
  }
};

const sameTensors = (got: readonly Tensor[], expected: readonly Tensor[], shapesOnly: boolean): string => {
  for (const [index, { name, datatype, shape, data }] of expected.entries()) {
    const own = got[index];
    if (own?.name !== name || own.datatype !== datatype) return `${name} came as ${own?.name} of ${own?.datatype}`;
    if (String(own.shape) !== String(shape)) return `${name} has the shape ${own.shape} in place of ${shape}`;
    if (!shapesOnly && !close(datatype, own.data, data)) return `${name} has other values`;
  }
  return got.length === expected.length ? "equal" : `${got.length} outputs in place of ${expected.length}`;
};

/** Sums of floats depend on where their memory lies, in their last bits; everything else is equal to the bit. */
const close = (datatype: Datatype, got: Uint8Array, expected: Uint8Array): boolean => {
  if (Buffer.compare(got, expected) === 0) return true;
  if (datatype !== "FP32" && datatype !== "FP16") return false;
  const tolerance = datatype === "FP32" ? 2e-6 : 2e-3;
  const numbers = toNumbers(datatype, expected);
  return toNumbers(datatype, got).every((number, index) => {
    const other = numbers[index] ?? Number.NaN;
    return Object.is(number, other) || Math.abs(number - other) <= tolerance * (1 + Math.abs(other));
  });
};

/** Operators that answer differently each time. */
const random = new Set([
  "Bernoulli",
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
  "Multinomial",
]);
const isRandom = (bytes: Uint8Array): boolean =>
  (fromBinary(ModelProtoSchema, bytes).graph?.node ?? []).some(({ opType }) => random.has(opType ?? ""));

/** The inputs of a test; undefined where one of them is no tensor. */
const readInputs = (name: string, session: OnnxSession): Tensor[] | undefined => {
  const set = join(data, name, "test_data_set_0");
  return session.inputs.map((spec, index) => tensorOf(spec.name, spec.datatype, join(set, `input_${index}.pb`)));
};

const tensorOf = (name: string, datatype: Datatype, path: string): Tensor => {
  const proto = fromBinary(TensorProtoSchema, readFileSync(path));
  const shape = proto.dims.map(Number);
  return { name, datatype, shape, data: dataOf(proto, datatype) };
};

/** The values of a tensor of the ONNX format, which keeps them raw, or in a list of a wider type. */
const dataOf = (proto: TensorProto, datatype: Datatype): Uint8Array => {
  if (datatype === "BYTES") return encodeBytes(proto.stringData);
  if (proto.rawData !== undefined && proto.rawData.byteLength > 0) return proto.rawData;
  const wide = listOf(proto);
  const bytes = new Uint8Array(wide.length * elementBytes[datatype]);
  const view = typedView(datatype === "FP16" ? "UINT16" : datatype, bytes);
  for (const [index, value] of wide.entries()) {
    if (view instanceof BigInt64Array || view instanceof BigUint64Array) view[index] = BigInt(value);
    else view[index] = Number(value);
  }
  return bytesOf(view);
};

const listOf = (proto: TensorProto): readonly (number | bigint)[] => {
  switch (proto.dataType) {
    case OnnxType.FLOAT:
      return proto.floatData;
    case OnnxType.DOUBLE:
      return proto.doubleData;
    case OnnxType.INT64:
      return proto.int64Data;
    case OnnxType.UINT32:
    case OnnxType.UINT64:
      return proto.uint64Data;
    default:
      return proto.int32Data;
  }
};
