import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openWidthModel } from "./models.ts";
import { residentBytes } from "./resident-bytes.ts";
import { type RunningInference, startInference } from "./start-inference.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-slow-reader-"));
let service: RunningInference;

beforeAll(async () => {
  writeFileSync(join(folder, "wide.onnx"), openWidthModel());
  service = await startInference(["--models", folder]);
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true });
});

const mebibyte = 1024 * 1024;

const request = (id: number, width: number) => ({
  modelName: "wide",
  id: String(id),
  inputs: [{ name: "x", datatype: "FP32", shape: [1n, BigInt(width)] }],
  rawInputContents: [new Uint8Array(width * 4).fill(id)],
});

describe("a caller that sends and does not read", () => {
  test.each([
    ["large", 150, 512 * 1024],
    ["small", 20_000, 1024],
  ])(
    "has its stream held up, and gets its %s answers in order when it reads",
    async (_, count, width) => {
      let sent = 0;
      async function* requests() {
        while (sent < count) yield request(sent++, width);
      }
      const before = residentBytes(service);
      const answers = service.oip.modelStreamInfer(requests())[Symbol.asyncIterator]();
      // Until the service takes no more of it.
      for (let last = -1; last !== sent; ) {
        last = sent;
        await sleep(700);
      }
      expect(sent).toBeLessThan(count);
      expect(residentBytes(service) - before).toBeLessThan(200 * mebibyte);

      let read = 0;
      for (let step = await answers.next(); step.done !== true; step = await answers.next()) {
        const { errorMessage, inferResponse } = step.value;
        const [data] = inferResponse?.rawOutputContents ?? [];
        expect([errorMessage, inferResponse?.id, data?.length, data?.[0]]).toEqual([
          "",
          String(read),
          width * 4,
          read % 256,
        ]);
        read++;
      }
      expect(read).toBe(count);
    },
    60_000,
  );

  test("and goes away leaves the service as it was", async () => {
    const caller = new AbortController();
    async function* requests() {
      for (let id = 0; id < 50; id++) yield request(id, 512 * 1024);
    }
    const answers = service.oip.modelStreamInfer(requests(), { signal: caller.signal })[Symbol.asyncIterator]();
    expect((await answers.next()).done).toBe(false);
    caller.abort();
    await expect(
      (async () => {
        while ((await answers.next()).done !== true);
      })(),
    ).rejects.toThrow();
    expect((await service.oip.modelInfer(request(1, 1))).outputs[0]?.shape).toEqual([1n, 1n]);
  }, 30_000);
});
