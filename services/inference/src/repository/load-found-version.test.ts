import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelConfigSchema } from "@millrace/contracts/inference/model_config";
import { afterAll, expect, test } from "vitest";
import { loopModel } from "../../test/loop-model.ts";
import { MemoryBudget } from "../execution/memory-budget.ts";
import { fileOrigin } from "./found-model.ts";
import { loadFoundVersion } from "./load-found-version.ts";
import { parseTextFormat } from "./text-format/parse-text-format.ts";

const folder = realpathSync(mkdtempSync(join(tmpdir(), "millrace-found-")));
afterAll(() => rmSync(folder, { recursive: true }));

test("a warm-up that takes too long fails the load at once; its worker is retired when the run returns", async () => {
  mkdirSync(join(folder, "warmup"));
  writeFileSync(join(folder, "warmup", "n"), new Uint8Array(BigInt64Array.of(1_000_000n).buffer));
  const sample = 'inputs { key: "n" value { data_type: TYPE_INT64 dims: 1 input_data_file: "n" } }';
  const config = parseTextFormat(ModelConfigSchema, "config.pbtxt", `model_warmup { name: "long" ${sample} }`);
  const memory = new MemoryBudget(Number.POSITIVE_INFINITY);
  const instances = () => ({ onLost() {}, onWedged() {}, onReplaced() {}, onFailed() {} });
  const load = loadFoundVersion(
    "loop",
    {
      version: "1",
      reference: folder,
      fingerprint: "",
      read: () => Promise.resolve({ model: loopModel(), origin: fileOrigin(folder) }),
    },
    { config, folder, boundary: folder, versions: [], fingerprint: "" },
    {
      maxBatchSize: 1,
      maxQueueDelayMs: 0,
      maxQueueSize: 10,
      instances: 1,
      intraOpThreads: 1,
      maxRunTimeMs: 60,
      shared: { memory, instances },
    },
    () => {},
  );
  await expect(load).rejects.toMatchObject({ code: "UNAVAILABLE", reasonName: "MODEL_NOT_READY" });
  expect(memory.takenBytes).toBeGreaterThan(0);
  while (memory.takenBytes > 0) await new Promise((resolve) => setTimeout(resolve, 20));
}, 30_000);
