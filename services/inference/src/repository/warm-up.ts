import { promises as files } from "node:fs";
import { create } from "@bufbuild/protobuf";
import {
  type ModelConfig,
  type ModelWarmup,
  type ModelWarmup_Input,
  ModelWarmup_InputSchema,
} from "@millrace/contracts/inference/model_config";
import type { FieldViolation } from "@millrace/errors";
import { byteCount, checkTensor, elementCount, encodeStrings, Slab, type Tensor } from "@millrace/tensor";
import { layBatch } from "../execution/batch-rows.ts";
import type { ModelInstance } from "../execution/model-instance.ts";
import { configDatatype, configDatatypeWord } from "./config/datatype.ts";
import { type FittedTensor, reshaped } from "./config/fit-to-graph.ts";
import { ModelConfigInvalidError } from "./config/model-config-invalid-error.ts";
import { containedFile } from "./contained-file.ts";

/** Where the files of samples lie. */
export interface WarmUpFiles {
  /** The model's folder: files are read from its `warmup`. Undefined where there is none. */
  readonly folder: string | undefined;
  readonly boundary: string;
}

/**
 * Runs the samples of a configuration on every instance, before it takes requests. They are no part of the statistics.
 * @throws ModelConfigInvalidError where a sample does not fit the model; ModelInvalidError where its file is not there;
 *   what the run throws.
 */
export const warmUp = async (
  config: ModelConfig,
  name: string,
  inputs: readonly FittedTensor[],
  instances: readonly ModelInstance[],
  from: WarmUpFiles,
): Promise<void> => {
  for (const [index, sample] of config.modelWarmup.entries()) {
    const tensors = await sampleTensors(config, name, inputs, sample, `model_warmup[${index}]`, from);
    const slab = new Slab();
    for (const instance of instances) {
      for (let run = 0; run < Math.max(sample.count, 1); run++) {
        await instance.run(slab.memory, layBatch(slab, [tensors], undefined, instance));
      }
    }
  }
};

const sampleTensors = async (
  { maxBatchSize }: ModelConfig,
  name: string,
  inputs: readonly FittedTensor[],
  sample: ModelWarmup,
  field: string,
  from: WarmUpFiles,
): Promise<Tensor[]> => {
  const violations: FieldViolation[] = [];
  const unknown = Object.keys(sample.inputs).find((input) => !inputs.some(({ spec }) => spec.name === input));
  if (unknown !== undefined) {
    const names = inputs.map(({ spec }) => spec.name).join(", ");
    violations.push({ field: `${field}.inputs.${unknown}`, expected: `one of ${names}`, got: unknown });
  }
  if (sample.batchSize > Math.max(maxBatchSize, 1)) {
    const expected = `at most max_batch_size, ${maxBatchSize}`;
    violations.push({ field: `${field}.batch_size`, expected, got: String(sample.batchSize) });
  }
  const tensors: Tensor[] = [];
  for (const { spec, graphShape } of inputs) {
    const given = sample.inputs[spec.name] ?? create(ModelWarmup_InputSchema);
    const own = `${field}.inputs.${spec.name}`;
    if (given.dataType !== configDatatype[spec.datatype]) {
      const expected = configDatatypeWord(configDatatype[spec.datatype]);
      violations.push({ field: `${own}.data_type`, expected, got: configDatatypeWord(given.dataType) });
      continue;
    }
    const batch = maxBatchSize > 0 ? [Math.max(sample.batchSize, 1)] : [];
    const shape = [...batch, ...given.dims.map(Number)];
    const wrong =
      shape.length !== spec.shape.length ||
      shape.some((size, axis) => size < 0 || ![-1, size].includes(spec.shape[axis] ?? -2));
    if (wrong || elementCount(shape) > 2 ** 26) {
      const expected = `sizes that fit [${spec.shape.slice(batch.length).join(", ")}]`;
      violations.push({ field: `${own}.dims`, expected, got: `[${given.dims.join(", ")}]` });
      continue;
    }
    const data = await sampleData(spec.datatype, shape, given, name, own, from);
    const tensor = { name: spec.name, datatype: spec.datatype, shape, data };
    checkTensor(tensor, spec);
    tensors.push(graphShape === undefined ? tensor : { ...tensor, shape: reshaped(shape, spec.shape, graphShape) });
  }
  if (violations.length > 0) throw new ModelConfigInvalidError(name, violations);
  return tensors;
};

const sampleData = async (
  datatype: Tensor["datatype"],
  shape: readonly number[],
  { inputDataType }: ModelWarmup_Input,
  name: string,
  field: string,
  { folder, boundary }: WarmUpFiles,
): Promise<Uint8Array> => {
  const count = elementCount(shape);
  switch (inputDataType.case) {
    case "inputDataFile": {
      if (folder === undefined) break;
      return await files.readFile(
        await containedFile(boundary, folder, `warmup/${inputDataType.value}`, "warm-up file"),
      );
    }
    case "randomData":
      if (datatype === "BYTES") {
        return encodeStrings(Array.from({ length: count }, () => Math.random().toString(36).slice(2)));
      }
      return randomBytes(datatype, byteCount(datatype, shape));
    case "zeroData":
      return datatype === "BYTES"
        ? encodeStrings(new Array<string>(count).fill(""))
        : new Uint8Array(byteCount(datatype, shape));
    default:
  }
  throw new ModelConfigInvalidError(name, [
    {
      field,
      expected: "zero_data, random_data, or input_data_file in a model's folder",
      got: inputDataType.case ?? "none",
    },
  ]);
};

/** Any bytes are integers; those of floats are kept small and finite. */
const randomBytes = (datatype: Tensor["datatype"], length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  if (datatype === "FP32") {
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < length; at += 4) view.setFloat32(at, Math.random(), true);
  } else if (datatype === "FP64") {
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < length; at += 8) view.setFloat64(at, Math.random(), true);
  } else if (datatype === "FP16") {
    // Below 0x3c00 each pattern is a number from 0 to 1.
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < length; at += 2) view.setUint16(at, Math.floor(Math.random() * 0x3c00), true);
  } else if (datatype === "BOOL") {
    for (let at = 0; at < length; at++) bytes[at] = Math.random() < 0.5 ? 0 : 1;
  } else for (let at = 0; at < length; at++) bytes[at] = Math.floor(Math.random() * 256);
  return bytes;
};
