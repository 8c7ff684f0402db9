import { create, toJson } from "@bufbuild/protobuf";
import { ModelConfigSchema } from "@millrace/contracts/inference/model_config";
import { PipelineSchema } from "@millrace/contracts/millrace/inference/v1/deployment";
import { expect, test } from "vitest";
import { parseTextFormat } from "../text-format/parse-text-format.ts";
import { ensemblePipeline } from "./ensemble-pipeline.ts";

const ensemble = (steps: string) =>
  parseTextFormat(
    ModelConfigSchema,
    "config.pbtxt",
    `platform: "ensemble" input { name: "IMAGE" data_type: TYPE_UINT8 dims: -1 }
     output { name: "LABEL" data_type: TYPE_STRING dims: 1 } ensemble_scheduling { step [ ${steps} ] }`,
  );

test("each step of an ensemble is a step of a pipeline, under a name of its own", () => {
  const config = ensemble(`
    { model_name: "prepare" model_version: -1 input_map { key: "raw" value: "IMAGE" } output_map { key: "out" value: "pixels" } },
    { model_name: "net" model_version: 3 input_map { key: "x" value: "pixels" } output_map { key: "y" value: "features" } },
    { model_name: "net" input_map { key: "x" value: "features" } output_map { key: "y" value: "LABEL" } }`);
  expect(toJson(PipelineSchema, ensemblePipeline(config, "chain", "2"))).toEqual({
    version: "2",
    outputs: { LABEL: "LABEL" },
    steps: [
      { name: "prepare", model: "prepare", inputs: { raw: "IMAGE" }, outputs: { out: "pixels" } },
      { name: "net", model: "net", modelVersion: "3", inputs: { x: "pixels" }, outputs: { y: "features" } },
      { name: "net-2", model: "net", inputs: { x: "features" }, outputs: { y: "LABEL" } },
    ],
  });
});

test.each([
  [
    "a tensor that nobody writes",
    '{ model_name: "net" input_map { key: "x" value: "pixels" } output_map { key: "y" value: "LABEL" } }',
    /step\[0\]\.input_map\.x: expected a tensor that is an input of the ensemble or written by a step: IMAGE, LABEL, got pixels/,
  ],
  [
    "an output that nobody writes",
    '{ model_name: "net" input_map { key: "x" value: "IMAGE" } output_map { key: "y" value: "other" } }',
    /output\[0\]\.name: expected a tensor that a step writes, got LABEL/,
  ],
  [
    "a namespace",
    '{ model_name: "net" model_namespace: "team" input_map { key: "x" value: "IMAGE" } output_map { key: "y" value: "LABEL" } }',
    /step\[0\]\.model_namespace: expected nothing/,
  ],
])("%s is named", (_, steps, message) => {
  expect(() => ensemblePipeline(ensemble(steps), "chain", "1")).toThrow(message);
});

test("an ensemble without outputs is none", () => {
  expect(() => ensemblePipeline(create(ModelConfigSchema), "chain", "1")).toThrow(/output: expected the outputs/);
});
