import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeModelFolders } from "./model-folders.ts";
import { scaleModel } from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floatRequest, floats, rawOutputs } from "./tensors.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-repository-"));
const models = join(folder, "models");
const more = join(folder, "more");
const mlflow = join(folder, "churn");

let service: RunningInference;

beforeAll(async () => {
  await writeModelFolders(models, more, mlflow);
  service = await startInference(["--models", `${models}, ${more},${mlflow}`]);
}, 60_000);

afterAll(async () => {
  await service.stop();
  rmSync(folder, { recursive: true });
});

const answer = async (model: string, version = "", input = "x"): Promise<number[]> =>
  floats(await service.oip.modelInfer({ ...floatRequest(model, [1, 2], [2, 1], input), modelVersion: version }));
const indexOf = async (name: string) =>
  (await service.oip.repositoryIndex({})).models.filter((model) => model.name === name);
const configOf = async (name: string) => {
  const { config } = await service.oip.modelConfig({ name });
  if (config === undefined) throw new TypeError("The answer has no configuration.");
  return config;
};

describe("a folder of models serves", () => {
  test.each([
    ["a bare file", "bare", [2, 4]],
    ["the highest version of a folder, where nothing says otherwise", "plain", [3, 6]],
    ["an MLflow folder", "flow", [6, 12]],
    ["the package of an OCI layout that production points at", "packed", [7, 14]],
    ["the only package of an OCI layout that has its image as well", "imaged", [8, 16]],
  ])("%s", async (_, model, expected) => {
    expect(await answer(model)).toEqual(expected);
  });

  test("an ensemble, as a pipeline", async () => {
    expect(await answer("chain", "", "IN")).toEqual([40, 80]);
  });

  test("the highest of the tags of a layout that are numbers", async () => {
    expect(await answer("numbered")).toEqual([5, 10]);
    expect((await service.oip.modelMetadata({ name: "numbered" })).versions).toEqual(["5"]);
  });

  test("a source that is an MLflow folder itself, under its own name", async () => {
    const response = await service.oip.modelInfer(floatRequest("churn", [1, 2], [1, 2]));
    expect(floats(response)).toEqual([1, 2]);
  });

  test("each version that its policy names, the highest to whoever names none", async () => {
    expect(await answer("several")).toEqual([20, 40]);
    expect(await answer("several", "1")).toEqual([10, 20]);
    await expect(answer("several", "3")).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect((await service.oip.modelMetadata({ name: "several" })).versions).toEqual(["1", "2"]);
    expect(await answer("all", "1")).toEqual([1, 2]);
    expect(await answer("all", "2")).toEqual([2, 4]);
  });

  test("the versions that are there where a policy names one that is not", async () => {
    expect(await answer("missing-version")).toEqual([1, 2]);
    expect(await indexOf("missing-version")).toEqual([
      expect.objectContaining({ version: "7", state: "UNAVAILABLE", reason: expect.stringMatching(/there are 1\./) }),
      expect.objectContaining({ version: "1", state: "READY" }),
    ]);
  });
});

describe("a configuration is followed", () => {
  test("in shapes, outputs and bounds of rows", async () => {
    const response = await service.oip.modelInfer(floatRequest("fitted", [1, 2, 3, 4, 5, 6], [2, 1, 3]));
    expect(rawOutputs(response).map(({ name, shape }) => [name, shape])).toEqual([["sum", [2, 1]]]);
    expect(floats(response)).toEqual([6, 15]);
    const narrower = service.oip.modelInfer(floatRequest("fitted", [1, 2], [1, 1, 2]));
    await expect(narrower).rejects.toMatchObject({ message: expect.stringMatching(/x.shape: expected \[-1, 1, 3\]/) });
    const longer = service.oip.modelInfer(floatRequest("fitted", new Array(15).fill(1), [5, 1, 3]));
    await expect(longer).rejects.toMatchObject({ message: expect.stringMatching(/at most 4 \(max_batch_size\)/) });
    const rows = service.oip.modelInfer(floatRequest("one-row", [1, 2], [2, 1]));
    await expect(rows).rejects.toMatchObject({ message: expect.stringMatching(/expected \[1, 1\]/) });
  });

  test("in the names of classes", async () => {
    const request = floatRequest("fitted", [0, 0, 1], [1, 1, 3]);
    const classification = { parameterChoice: { case: "int64Param" as const, value: 1n } };
    const response = await service.oip.modelInfer({
      ...request,
      outputs: [{ name: "sum", parameters: { classification } }],
    });
    expect(Buffer.from(response.rawOutputContents[0] ?? []).toString()).toMatch(/1.*:0:small/);
  });

  test("and ModelConfig says what is in force", async () => {
    expect(await configOf("several")).toMatchObject({
      name: "several",
      platform: "onnxruntime_onnx",
      backend: "onnxruntime",
      maxBatchSize: 8,
      input: [{ name: "x", dims: [1n] }],
      versionPolicy: { policyChoice: { case: "specific", value: { versions: [1n, 2n] } } },
      instanceGroup: [{ count: 2 }],
      responseCache: { enable: true },
      defaultModelFilename: "model.onnx",
      schedulingChoice: {
        case: "dynamicBatching",
        value: {
          preferredBatchSize: [4],
          maxQueueDelayMicroseconds: 500n,
          priorityLevels: 2n,
          defaultPriorityLevel: 2n,
          defaultQueuePolicy: { timeoutAction: 1, defaultTimeoutMicroseconds: 9000n, maxQueueSize: 7 },
          priorityQueuePolicy: { 1: { allowTimeoutOverride: true, maxQueueSize: 4096 } },
        },
      },
    });
    expect(await configOf("fitted")).toMatchObject({
      maxBatchSize: 4,
      input: [{ dims: [1n, 3n], reshape: { shape: [3n] } }],
      output: [{ name: "sum", dims: [1n], reshape: { shape: [] }, labelFilename: "sums.txt" }],
    });
    expect(await configOf("ordered")).toMatchObject({
      instanceGroup: [{ count: 1 }],
      responseCache: { enable: false },
      schedulingChoice: { case: "dynamicBatching", value: { preserveOrdering: true } },
    });
    expect(await configOf("one-row")).toMatchObject({ maxBatchSize: 1, input: [{ dims: [1n] }] });
    expect(await configOf("unbatched")).toMatchObject({ maxBatchSize: 0, input: [{ dims: [-1n, 1n] }] });
    expect((await configOf("unbatched")).schedulingChoice.case).toBeUndefined();
    expect(await configOf("chain")).toMatchObject({
      platform: "ensemble",
      schedulingChoice: { case: "ensembleScheduling" },
    });
    expect(await configOf("depends")).toMatchObject({ maxBatchSize: 0, input: [{ dims: [-1n, 1n] }] });
    expect((await configOf("plain")).versionPolicy).toMatchObject({
      policyChoice: { case: "latest", value: { numVersions: 1 } },
    });
  });

  test("in where to run, and what the machine lacks is said", async () => {
    expect(await answer("ordered")).toEqual([1, 2]);
    const { properties } = await service.oip.modelMetadata({ name: "ordered" });
    if (properties.execution_provider === "cpu") {
      expect(properties.execution_provider_reason).toMatch(/tensorrt was asked for first.*cuda was asked for next/);
    } else expect(["tensorrt", "cuda"]).toContain(properties.execution_provider);
  });

  test("and what changes nothing here is said in the log", () => {
    expect(service.log).toContainEqual(
      expect.objectContaining({ model: "several", fields: ["optimization.eager_batching", "parameters.speed"] }),
    );
  });
});

describe("what cannot serve says which and why, and the others serve", () => {
  test.each([
    ["a file that was cut off", "torn", /cannot be loaded/],
    ["a file that is no model", "text", /cannot be loaded/],
    ["a folder without versions", "empty", /no version to serve/],
    ["a version without its file", "no-file", /no file of the model no-file model\.onnx/],
    [
      "a name that is not the folder's",
      "misnamed",
      /name: expected misnamed, as the model's folder is called, got other/,
    ],
    [
      "an unknown field",
      "unknown-field",
      /config\.pbtxt, line 3, column 1: expected a field of ModelConfig .* got max_batch/,
    ],
    [
      "what is not served",
      "decoupled",
      /sequence_batching: expected nothing.*model_transaction_policy\.decoupled: expected nothing/,
    ],
    [
      "a parameter out of its bounds",
      "wrong-parameter",
      /parameters\.execution_mode: expected 0 .* got "2"; optimization\.graph\.level: expected -1, 0, 1 or 2, got 3/,
    ],
    ["another backend", "other-backend", /backend: expected onnxruntime, got python/],
    [
      "inputs that the graph does not have",
      "wrong-input",
      /input\[0\]\.data_type: expected TYPE_FP32, got TYPE_FP64; input\[0\]\.dims: .*graph's \[1\], got \[2\]; input\[1\]\.name: expected one of the graph's inputs: x, got z/,
    ],
    [
      "batches that the graph does not take",
      "fixed-batch",
      /max_batch_size: expected 0: the first dimension of x is not open/,
    ],
    ["a file outside of its folder", "escaping", /default_model_filename: expected a path inside/],
    ["labels that are not there", "no-labels", /no label file of the output y absent\.txt/],
    [
      "a sample that does not fit",
      "cold",
      /model_warmup\[0\]\.inputs\.x\.dims: expected sizes that fit \[1\], got \[2\]/,
    ],
    ["a link that leads in a circle", "circle", /circle cannot be read/],
    ["a name that is there twice", "twice", /is there twice: .*models.twice and .*more.twice\.onnx/],
    ["an MLflow folder of another flavour", "sk", /no flavour onnx, only sklearn/],
    ["an MLflow folder that points elsewhere", "leaving", /lies outside of the folder/],
    ["a layout that does not say which package", "vague", /several packages.*got blue, green/],
    ["a package whose golden examples differ", "wrong-golden", /Golden example 0/],
  ])("%s", async (_, name, reason) => {
    const [model, ...others] = await indexOf(name);
    expect(others).toEqual([]);
    expect(model).toMatchObject({ state: "UNAVAILABLE", reason: expect.stringMatching(reason) });
    expect(await service.oip.modelReady({ name })).toMatchObject({ ready: false });
  });

  test("also in the status of deployments", async () => {
    const { deployments } = await service.deployments.getStatus({});
    expect(deployments.find(({ model }) => model === "torn")?.versions).toMatchObject([
      { version: 1n, reason: "MODEL_INVALID", message: expect.stringMatching(/cannot be loaded/) },
    ]);
    expect(deployments.find(({ model }) => model === "misnamed")?.versions).toMatchObject([
      { version: 0n, reason: "MODEL_INVALID", message: expect.stringMatching(/name: expected misnamed/) },
    ]);
  });

  test("and the service is ready", async () => {
    expect(await service.oip.serverReady({})).toMatchObject({ ready: true });
  });
});

describe("a load by call", () => {
  const text = (value: string) => ({ parameterChoice: { case: "stringParam" as const, value } });
  const bytes = (value: Uint8Array) => ({ parameterChoice: { case: "bytesParam" as const, value } });

  test("takes a configuration in place of the one that is there, until it is loaded without", async () => {
    const config = JSON.stringify({ version_policy: { latest: { num_versions: 2 } }, maxBatchSize: 2 });
    await service.oip.repositoryModelLoad({ modelName: "plain", parameters: { config: text(config) } });
    expect(await answer("plain", "1")).toEqual([1, 2]);
    expect(await configOf("plain")).toMatchObject({ maxBatchSize: 2 });
    await service.oip.repositoryModelLoad({ modelName: "plain" });
    await expect(answer("plain", "1")).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await configOf("plain")).toMatchObject({ maxBatchSize: 128 });
  });

  test("takes the files of a model", async () => {
    const parameters = { config: text('{"backend":"onnxruntime"}'), "file:4/model.onnx": bytes(scaleModel(8)) };
    await service.oip.repositoryModelLoad({ modelName: "sent", parameters });
    expect(await answer("sent", "4")).toEqual([8, 16]);
    await service.oip.repositoryModelUnload({ modelName: "sent" });
    await expect(answer("sent")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test.each([
    [
      "files without a configuration",
      { "file:1/model.onnx": bytes(scaleModel(1)) },
      /parameters\.config: expected the model's configuration/,
    ],
    [
      "a path that is none",
      { config: text("{}"), "file:../model.onnx": bytes(scaleModel(1)) },
      /expected file:<version>\/<name>/,
    ],
    [
      "a configuration that is no JSON",
      { config: text("max_batch_size: 3") },
      /parameters\.config: expected the JSON mapping/,
    ],
    ["another parameter", { speed: text("fast") }, /parameters\.speed: expected config or file/],
  ])("refuses %s", async (_, parameters, message) => {
    const load = service.oip.repositoryModelLoad({ modelName: "plain", parameters });
    await expect(load).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) });
    expect(await answer("plain")).toEqual([3, 6]);
  });

  test("that fails leaves what serves", async () => {
    const config = text('{"input":[{"name":"q","dataType":"TYPE_FP32","dims":[1]}]}');
    const load = service.oip.repositoryModelLoad({ modelName: "plain", parameters: { config } });
    await expect(load).rejects.toMatchObject({ message: expect.stringMatching(/got q/) });
    expect(await answer("plain")).toEqual([3, 6]);
    await service.oip.repositoryModelLoad({ modelName: "plain" });
    expect((await indexOf("plain")).map(({ state }) => state)).toEqual(["READY"]);
  });

  test("finds the name where KServe's clients write it", async () => {
    await service.oip.repositoryModelLoad({ repositoryName: "flow" });
    await expect(
      service.oip.repositoryModelLoad({ modelName: "flow", repositoryName: "elsewhere" }),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/repository_name: expected nothing, or one of/),
    });
    await service.oip.repositoryModelLoad({ modelName: "flow", repositoryName: more });
  });

  test("lists what is loaded by source and state", async () => {
    const inMore = (await service.oip.repositoryIndex({ repositoryName: more, ready: true })).models;
    expect(inMore.map(({ name }) => name)).toEqual(["depends", "flow", "imaged", "numbered", "packed"]);
    await service.oip.repositoryModelUnload({ modelName: "depends" });
    expect(await indexOf("depends")).toEqual([
      expect.objectContaining({ version: "1", state: "UNAVAILABLE", reason: "unloaded" }),
    ]);
  });

  test("unloads an ensemble with its models, and loads it with those that are missing", async () => {
    const parameters = { unload_dependents: { parameterChoice: { case: "boolParam" as const, value: true } } };
    await service.oip.repositoryModelUnload({ modelName: "chain", parameters });
    await expect(answer("several")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await service.oip.repositoryModelLoad({ modelName: "chain" });
    expect(await answer("chain", "", "IN")).toEqual([40, 80]);
    expect(await answer("several")).toEqual([20, 40]);
  });
});
