import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Datatype, elementBytes } from "@millrace/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { identityModel, scaleModel, severalModel } from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { runTritonScript, tritonMissing } from "./triton-environment.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-triton-"));
let service: RunningInference | undefined;

beforeAll(async () => {
  if (tritonMissing !== undefined) return;
  for (const datatype of Object.keys(elementBytes) as Datatype[]) {
    writeFileSync(join(folder, `identity-${datatype}.onnx`), identityModel(datatype));
  }
  writeFileSync(join(folder, "classes.onnx"), identityModel("FP32", 3));
  writeFileSync(join(folder, "several.onnx"), severalModel());
  writeFileSync(join(folder, "scale.onnx"), scaleModel(3));
  service = await startInference(["--models", folder, "--system-shared-memory"]);
}, 60_000);

afterAll(async () => {
  await service?.stop();
  rmSync(folder, { recursive: true });
});

describe.skipIf(tritonMissing !== undefined)(
  `the public Triton client passes, unchanged${tritonMissing === undefined ? "" : ` (skipped: ${tritonMissing})`}:`,
  () => {
    test.each([
      ["calls without tensors over gRPC", "grpc_calls.py"],
      ["tensors of every kind over gRPC", "grpc_tensors.py"],
      ["a stream with callbacks", "grpc_stream.py"],
      ["asyncio and threads over gRPC", "grpc_aio.py"],
      ["calls without tensors over REST", "http_calls.py"],
      ["tensors of every kind over REST", "http_tensors.py"],
      ["asyncio over REST", "http_aio.py"],
      ["tensors in shared memory, over both", "shared_memory.py"],
    ])(
      "%s",
      async (_, script) => {
        const { address = "", restUrl = "" } = service ?? {};
        await runTritonScript(script, address, restUrl.replace("http://", ""));
      },
      90_000,
    );

    test("models by call, over both", async () => {
      const flags = ["--models", folder, "--model-control-mode", "explicit", "--load-model", "scale"];
      const explicit = await startInference(flags);
      try {
        const rest = explicit.restUrl.replace("http://", "");
        await runTritonScript("repository.py", explicit.address, rest, join(folder, "scale.onnx"));
      } finally {
        await explicit.stop();
      }
    }, 90_000);

    test("and nothing that it sent was a defect of the service", () => {
      expect(service?.log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
    });
  },
);
