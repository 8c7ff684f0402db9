import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RpcError } from "@millrace/grpc";
import { afterAll, describe, expect, test } from "vitest";
import { scaleModel, slowModel } from "./models.ts";
import { startInference } from "./start-inference.ts";
import { floatRequest, floats } from "./tensors.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-start-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("a start that cannot succeed ends with one clear line", () => {
  test.each([
    [
      "a folder of models that is not there",
      ["--models", join(folder, "absent")],
      /inference: The folder of models .*absent cannot be read/,
    ],
    ["a setting that is unknown", ["--modles", folder], /modles/],
    ["a setting out of its bounds", ["--instances", "0"], /instances/],
    ["an event log of an unknown kind", ["--event-log-url", "carrier-pigeon:coop"], /carrier-pigeon/],
  ])(
    "%s",
    async (_, flags, message) => {
      const failure = await startInference(flags).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(Error);
      expect(String(failure)).toMatch(/ended with 1/);
      expect(String(failure)).toMatch(message);
    },
    30_000,
  );
});

test("a stop under load answers the calls that were taken, refuses the others, and exits 0", async () => {
  writeFileSync(join(folder, "scale.onnx"), scaleModel(2));
  writeFileSync(join(folder, "slow.onnx"), slowModel(30));
  const service = await startInference(["--models", folder]);
  const slow = service.oip.modelInfer(floatRequest("slow", [1], [1]), { timeoutMs: 60_000 });
  const outcomes: string[] = [];
  const call = async () => {
    for (;;) {
      try {
        expect(floats(await service.oip.modelInfer(floatRequest("scale", [4], [1, 1])))).toEqual([8]);
        outcomes.push("OK");
      } catch (error) {
        outcomes.push((error as RpcError).code);
        return;
      }
    }
  };
  const callers = Array.from({ length: 4 }, call);
  while (outcomes.length < 20) await new Promise((resolve) => setTimeout(resolve, 5));
  const exit = service.terminate();
  expect(floats(await slow)).toHaveLength(1);
  await Promise.all(callers);
  expect(await exit).toBe(0);
  await service.stop();
  expect(new Set(outcomes)).toEqual(new Set(["OK", "UNAVAILABLE"]));
}, 60_000);

test("a service that has answered has left nothing in its home directory: no usage data of the runtime's", async () => {
  const home = join(folder, "home");
  mkdirSync(home);
  writeFileSync(join(folder, "scale.onnx"), scaleModel(2));
  const service = await startInference(["--models", folder], { HOME: home, XDG_CACHE_HOME: join(home, "cache") });
  expect(floats(await service.oip.modelInfer(floatRequest("scale", [4], [1, 1])))).toEqual([8]);
  expect(await service.stop()).toBe(0);
  expect(readdirSync(home)).toEqual([]);
});
