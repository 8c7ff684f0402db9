import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Datatype, elementBytes, encodeStrings, toTypedContents } from "@millrace/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { denseModel, identityModel, openWidthModel, scaleModel } from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floatRequest, floats, rawOutputs } from "./tensors.ts";

const datatypes = Object.keys(elementBytes) as Datatype[];
const folder = mkdtempSync(join(tmpdir(), "millrace-inference-"));
let service: RunningInference;

beforeAll(async () => {
  for (const datatype of datatypes) writeFileSync(join(folder, `identity-${datatype}.onnx`), identityModel(datatype));
  writeFileSync(join(folder, "dense.onnx"), denseModel());
  writeFileSync(join(folder, "open-width.onnx"), openWidthModel());
  writeFileSync(join(folder, "broken.onnx"), Uint8Array.of(1, 2, 3));
  for (const version of ["1", "3"]) {
    mkdirSync(join(folder, "scale", version), { recursive: true });
    writeFileSync(join(folder, "scale", version, "model.onnx"), scaleModel(Number(version)));
  }
  service = await startInference(["--models", folder]);
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true });
});

const someBytes = (datatype: Datatype) =>
  datatype === "BYTES"
    ? encodeStrings(["a", "", "é", "\u{1f600}"])
    : Uint8Array.from({ length: 4 * elementBytes[datatype] }, (_, at) => at % 2);

describe("the server", () => {
  test("is live and ready, and names itself and what it serves", async () => {
    expect(await service.oip.serverLive({})).toMatchObject({ live: true });
    expect(await service.oip.serverReady({})).toMatchObject({ ready: true });
    const { name, extensions } = await service.oip.serverMetadata({});
    expect(name).toBe("millrace");
    expect(extensions).toContain("statistics");
  });

  test("lists its models, with the reason why one does not serve", async () => {
    const { models } = await service.oip.repositoryIndex({});
    expect(models).toContainEqual(expect.objectContaining({ name: "scale", version: "3", state: "READY" }));
    expect(models).toContainEqual(
      expect.objectContaining({
        name: "broken",
        state: "UNAVAILABLE",
        reason: expect.stringMatching(/cannot be loaded/),
      }),
    );
    const { models: ready } = await service.oip.repositoryIndex({ ready: true });
    expect(ready.every(({ state }) => state === "READY")).toBe(true);
  });

  test("says of a model what it takes, where it runs, and how it is batched", async () => {
    const metadata = await service.oip.modelMetadata({ name: "dense" });
    expect(metadata).toMatchObject({ platform: "onnxruntime_onnx", versions: ["1"] });
    expect(metadata.inputs).toMatchObject([{ name: "x", datatype: "FP32", shape: [-1n, 32n] }]);
    expect(metadata.properties).toMatchObject({ execution_provider: "cpu" });
    const { config } = await service.oip.modelConfig({ name: "dense" });
    expect(config).toMatchObject({ maxBatchSize: 128, schedulingChoice: { case: "dynamicBatching" } });
    expect(config?.input).toMatchObject([{ name: "x", dims: [32n] }]);
  });
});

describe.each(datatypes)("a tensor of %s", (datatype) => {
  test("goes in and out raw", async () => {
    const data = someBytes(datatype);
    const response = await service.oip.modelInfer({
      modelName: `identity-${datatype}`,
      id: "42",
      inputs: [{ name: "x", datatype, shape: [2n, 2n] }],
      rawInputContents: [data],
    });
    expect(response).toMatchObject({ id: "42", modelName: `identity-${datatype}`, modelVersion: "1" });
    expect(rawOutputs(response)).toEqual([{ name: "y", datatype, shape: [2, 2], data }]);
  });

  test.skipIf(datatype === "FP16")("goes in and out typed", async () => {
    const contents = toTypedContents({ name: "x", datatype, shape: [2, 2], data: someBytes(datatype) });
    const response = await service.oip.modelInfer({
      modelName: `identity-${datatype}`,
      inputs: [{ name: "x", datatype, shape: [2n, 2n], ...(contents === undefined ? {} : { contents }) }],
    });
    expect(response.rawOutputContents).toEqual([]);
    expect(response.outputs[0]?.contents).toMatchObject(contents ?? {});
  });
});

describe("a request chooses", () => {
  test("its outputs, in its order", async () => {
    const request = {
      ...floatRequest("dense", Array(32).fill(0.5), [1, 32]),
      outputs: [{ name: "sum" }, { name: "score" }],
    };
    expect(rawOutputs(await service.oip.modelInfer(request)).map(({ name }) => name)).toEqual(["sum", "score"]);
  });

  test("the version in force, by its number or by none", async () => {
    for (const modelVersion of ["", "3"]) {
      const response = await service.oip.modelInfer({ ...floatRequest("scale", [2], [1, 1]), modelVersion });
      expect(response.modelVersion).toBe("3");
      expect(floats(response)).toEqual([6]);
    }
  });
});

describe("a stream", () => {
  test("answers in order, and stays open when a request fails", async () => {
    async function* requests() {
      yield { ...floatRequest("scale", [1], [1, 1]), id: "a" };
      yield { ...floatRequest("nobody", [1], [1, 1]), id: "b" };
      yield { ...floatRequest("scale", [2], [1, 2]), id: "c" };
      yield { ...floatRequest("scale", [2], [1, 1]), id: "d" };
    }
    const seen: [string, string, number[]][] = [];
    for await (const { errorMessage, inferResponse } of service.oip.modelStreamInfer(requests())) {
      expect(inferResponse?.parameters.triton_final_response?.parameterChoice).toEqual({
        case: "boolParam",
        value: true,
      });
      seen.push([inferResponse?.id ?? "", errorMessage, inferResponse === undefined ? [] : floats(inferResponse)]);
    }
    expect(seen).toEqual([
      ["a", "", [3]],
      ["b", expect.stringMatching(/no model nobody/), []],
      ["c", expect.stringMatching(/x.shape/), []],
      ["d", "", [6]],
    ]);
  });
});

describe("a model is loaded and unloaded by call", () => {
  test("anew where its file has changed, without a failed request", async () => {
    let stop = false;
    const seen = new Set<number>();
    const load = async () => {
      while (!stop)
        for (const value of floats(await service.oip.modelInfer(floatRequest("scale", [1], [1, 1])))) seen.add(value);
    };
    const callers = Array.from({ length: 8 }, load);
    for (const factor of [5, 6, 7]) {
      writeFileSync(join(folder, "scale", "3", "model.onnx"), scaleModel(factor));
      await service.oip.repositoryModelLoad({ modelName: "scale" });
      expect(floats(await service.oip.modelInfer(floatRequest("scale", [1], [1, 1])))).toEqual([factor]);
    }
    stop = true;
    await Promise.all(callers);
    expect([...seen].every((value) => [3, 5, 6, 7].includes(value))).toBe(true);
  }, 60_000);

  test("and keeps its version in force when the new file is broken", async () => {
    writeFileSync(join(folder, "scale", "3", "model.onnx"), Uint8Array.of(1));
    await expect(service.oip.repositoryModelLoad({ modelName: "scale" })).rejects.toMatchObject({
      reason: "MODEL_INVALID",
    });
    expect(floats(await service.oip.modelInfer(floatRequest("scale", [1], [1, 1])))).toEqual([7]);
  });

  test("and is not found after its unload", async () => {
    await service.oip.repositoryModelUnload({ modelName: "open-width" });
    await expect(service.oip.modelInfer(floatRequest("open-width", [1], [1, 1]))).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(service.oip.modelReady({ name: "open-width" })).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

test("metrics have Triton's names, and count requests, rows and runs apart", async () => {
  await service.oip.modelInfer(floatRequest("dense", Array(64).fill(1), [2, 32]));
  const text = await (await fetch(service.metricsUrl)).text();
  const value = (name: string) =>
    Number(new RegExp(`^${name}\\{model="dense",version="1"\\} (\\S+)$`, "m").exec(text)?.[1]);
  const [success, count, executions] = [
    "nv_inference_request_success",
    "nv_inference_count",
    "nv_inference_exec_count",
  ].map(value);
  expect(success).toBeGreaterThan(0);
  expect(count).toBeGreaterThan(success ?? 0);
  expect(executions).toBeLessThanOrEqual(success ?? 0);
  expect(text).toMatch(/millrace_inference_batch_closed_total\{model="dense",version="1",reason="QUEUE_EMPTY"\}/);
});
