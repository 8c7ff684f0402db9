import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const program = (load: string, create: string) => `
  import { identityModel, onnxTypes } from "./test/identity-model.ts";
  ${load}
  await ${create}(identityModel(onnxTypes.FP32));
`;

/** @returns what a program that makes a session leaves below its home directory. */
const leftAtHome = async (load: string, create: string): Promise<string[]> => {
  const home = mkdtempSync(join(tmpdir(), "millrace-home-"));
  onTestFinished(() => rmSync(home, { recursive: true }));
  await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program(load, create)], {
    cwd: new URL("..", import.meta.url),
    // No variable of a CI's: where one is, it is silent by itself.
    env: {
      PATH: process.env.PATH,
      HOME: home,
      XDG_CACHE_HOME: join(home, "cache"),
      NODE_OPTIONS: "--conditions=@millrace/source",
    },
  });
  return readdirSync(home, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".db"));
};

test("a session keeps no usage data", async () => {
  const load = 'import { OnnxSession } from "@millrace/tensor/onnxruntime";';
  expect(await leftAtHome(load, "OnnxSession.create")).toEqual([]);
});

test("onnxruntime by itself still does on Linux: when this fails, the setting can go", async ({ skip }) => {
  skip(process.platform !== "linux", "other systems were not looked at");
  const load = 'import { InferenceSession } from "onnxruntime-node";';
  expect(await leftAtHome(load, "InferenceSession.create")).toHaveLength(1);
});
