import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openModelStore } from "../src/open-model-store.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";
import { skipWithoutRegistry, startDockerRegistry } from "./docker-registry.ts";

/** What KServe's storage initializer runs, with what it needs for `oci://`, in a virtual environment made once. */
const release = "kserve-storage==0.21.0";
const needs = ["oras==0.2.43", "requests==2.34.2", "certifi", "PyYAML"];
const environment = join(import.meta.dirname, "../../../.backing/kserve-storage");
const python = join(environment, "bin/python");

/** Why it cannot be had here; undefined where it is there. */
const install = (): string | undefined => {
  try {
    if (existsSync(join(environment, "complete"))) return undefined;
    execFileSync("python3", ["-m", "venv", environment], { stdio: "pipe" });
    const pip = (...words: string[]) =>
      execFileSync(python, ["-m", "pip", "install", "--quiet", ...words], { stdio: "pipe", timeout: 240_000 });
    // Without its own list, which has the clients of every cloud.
    pip("--no-deps", release);
    pip(...needs);
    execFileSync("touch", [join(environment, "complete")]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
  }
};

const missing = install();
if (missing !== undefined && process.env.CI === "true") {
  throw new Error(`KServe's storage initializer cannot be installed: ${missing}`);
}

test.skipIf(skipWithoutRegistry || missing !== undefined)(
  `KServe's storage initializer unpacks the image of a package${missing === undefined ? "" : ` (skipped: ${missing})`}`,
  async () => {
    const registry = await startDockerRegistry();
    const store = await openModelStore(`oci://${registry.host}/team`);
    const folder = await mkdtemp(join(tmpdir(), "millrace-kserve-"));
    const content = samplePackage();
    await store.push("flight_delay", content, ["v1"]);
    await store.pushImage("flight_delay:v1", ["v1-image"]);
    const program = "import sys; from kserve_storage import Storage; Storage.download(sys.argv[1], sys.argv[2])";
    // KServe passes storageUri on as it stands in the InferenceService; the webhook sets the variable.
    const uri = `oci://${registry.host}/team/flight_delay:v1-image`;
    const env = { ...process.env, KSERVE_OCI_INSECURE_REGISTRY: "true" };
    execFileSync(python, ["-c", program, uri, folder], { env, stdio: "pipe" });
    expect((await readdir(folder, { recursive: true })).sort()).toEqual([
      "flight_delay",
      "flight_delay/1",
      "flight_delay/1/model.onnx",
      "flight_delay/README.md",
      "flight_delay/baseline.binpb",
      "flight_delay/golden.binpb",
      "flight_delay/millrace.json",
    ]);
    const model = await readFile(join(folder, "flight_delay/1/model.onnx"));
    expect(Buffer.compare(model, content.model)).toBe(0);
    await store.close();
    await registry.stop();
    await rm(folder, { recursive: true });
  },
  300_000,
);
