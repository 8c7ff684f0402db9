import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Datatype, elementBytes } from "@millrace/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { identityModel, scaleModel } from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";

/** NVIDIA's public client, in a virtual environment beside the backing servers: made once, not checked in. */
const release = "tritonclient[grpc]==2.62.0";
const environment = fileURLToPath(new URL("../../../.backing/tritonclient", import.meta.url));
const python = join(environment, "bin/python");

/** The release that the environment has, as pip names it; empty for none. */
const installed = (): string => {
  const program =
    "from importlib import metadata as m; print(m.version('tritonclient') if m.packages_distributions().get('tritonclient') else '')";
  return `tritonclient[grpc]==${execFileSync(python, ["-c", program], { encoding: "utf8" }).trim()}`;
};

/** Why the client cannot be had here; undefined where it is there. */
const install = (): string | undefined => {
  try {
    if (!existsSync(python)) execFileSync("python3", ["-m", "venv", environment], { stdio: "pipe" });
    if (installed() === release) return undefined;
    execFileSync(python, ["-m", "pip", "install", "--quiet", release], { stdio: "pipe", timeout: 240_000 });
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
  }
};

const missing = install();
if (missing !== undefined && process.env.CI === "true")
  throw new Error(`The Triton client cannot be installed: ${missing}`);

const folder = mkdtempSync(join(tmpdir(), "millrace-triton-"));
let service: RunningInference | undefined;

beforeAll(async () => {
  if (missing !== undefined) return;
  for (const datatype of Object.keys(elementBytes) as Datatype[]) {
    writeFileSync(join(folder, `identity-${datatype}.onnx`), identityModel(datatype));
  }
  writeFileSync(join(folder, "scale.onnx"), scaleModel(3));
  service = await startInference(["--models", folder]);
}, 60_000);

afterAll(async () => {
  await service?.stop();
  rmSync(folder, { recursive: true });
});

test.skipIf(missing !== undefined)(
  `the public Triton client passes, unchanged${missing === undefined ? "" : ` (skipped: ${missing})`}`,
  async () => {
    const script = fileURLToPath(new URL("./triton_client.py", import.meta.url));
    const { stdout } = await promisify(execFile)(python, [script, service?.address ?? ""], { timeout: 60_000 });
    const seen = JSON.parse(stdout) as Record<string, unknown>;
    expect(seen).toMatchObject({
      live: true,
      ready: true,
      model_ready: true,
      server: "millrace",
      metadata: {
        name: "scale",
        versions: ["1"],
        platform: "onnxruntime_onnx",
        inputs: [{ name: "x", datatype: "FP32", shape: ["-1", "1"] }],
        outputs: [{ name: "y", datatype: "FP32", shape: ["-1", "1"] }],
      },
      config: { name: "scale", max_batch_size: 128, input: [{ name: "x", data_type: "TYPE_FP32", dims: ["1"] }] },
      raw: {
        ...Object.fromEntries(Object.keys(elementBytes).map((datatype) => [datatype, true])),
        BYTES: [
          ["a", "é"],
          ["", "d"],
        ],
      },
      typed: [3, 6],
      stream: [3, expect.stringMatching(/no model nobody/), 6],
      ready_after_unload: false,
      ready_after_load: true,
      error: {
        status: "StatusCode.INVALID_ARGUMENT",
        message: expect.stringMatching(/x.shape: expected \[-1, 1\], got \[1, 2\]/),
      },
    });
    expect(Number(seen.statistics)).toBeGreaterThanOrEqual(4);
    expect(seen.index).toContain("identity-BYTES");
  },
  90_000,
);
