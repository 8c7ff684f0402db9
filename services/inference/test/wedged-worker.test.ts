import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { steps } from "./lane-of.ts";
import { loopModel } from "./loop-model.ts";
import { scaleModel, slowModel } from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floatRequest, floats } from "./tensors.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-wedged-"));
let service: RunningInference;

beforeAll(async () => {
  writeFileSync(join(folder, "wedges.onnx"), slowModel(150));
  writeFileSync(join(folder, "scale.onnx"), scaleModel(2));
  service = await startInference(["--models", folder, "--max-run-time-ms", "100", "--memory-budget-mb", "70"]);
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true }));

describe("a run that takes longer than it may, where the memory budget has no room for another worker", () => {
  test("fails its callers, makes its model unavailable and the service unready, and leaves other models alone", async () => {
    const run = service.oip.modelInfer(floatRequest("wedges", [1], [1]), { timeoutMs: 60_000 });
    await expect(run).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "MODEL_NOT_READY" });
    expect(await service.oip.modelReady({ name: "wedges" })).toMatchObject({ ready: false });
    expect(await service.oip.serverReady({})).toMatchObject({ ready: false });
    await expect(service.oip.modelInfer(floatRequest("wedges", [1], [1]))).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(/wedged/),
    });
    expect(floats(await service.oip.modelInfer(floatRequest("scale", [4], [1, 1])))).toEqual([8]);
  }, 60_000);

  test("does not keep the service from stopping cleanly when it returns in time", async () => {
    expect(await service.stop()).toBe(0);
  }, 60_000);
});

test("a run that never returns does not keep the process beyond its stop: it says so, and kills itself", async () => {
  writeFileSync(join(folder, "loop.onnx"), loopModel());
  const stuck = await startInference(["--models", folder, "--max-run-time-ms", "200", "--drain-limit-ms", "500"]);
  const [n] = steps(2n ** 60n);
  const run = stuck.oip.modelInfer({
    modelName: "loop",
    inputs: [{ name: "n", datatype: "INT64", shape: [1n] }],
    rawInputContents: [n?.data ?? new Uint8Array()],
  });
  await expect(run).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "MODEL_NOT_READY" });
  // Killed by a signal: there is no exit code.
  expect(await stuck.stop()).toBeNull();
  const messages = stuck.log.map(({ msg }) => String(msg));
  expect(messages).toContainEqual(expect.stringMatching(/loop version 1 is wedged in a run; another stands in for it/));
  expect(messages.at(-1)).toMatch(/Runs of models never returned and cannot be ended: the process kills itself/);
}, 60_000);
