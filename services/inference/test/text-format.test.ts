import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { file_inference_model_config, ModelConfigSchema } from "@millrace/contracts/inference/model_config";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { parseTextFormat } from "../src/repository/text-format/parse-text-format.ts";
import { anyMessage, toTextFormat } from "./any-message.ts";

/** Protobuf's library for Python, in a virtual environment beside the backing servers: made once, not checked in. */
const release = "protobuf==6.33.1";
const environment = fileURLToPath(new URL("../../../.backing/protobuf", import.meta.url));
const python = `${environment}/bin/python`;

/** Why it cannot be had here; undefined where it is there. */
const install = (): string | undefined => {
  try {
    if (!existsSync(python)) execFileSync("python3", ["-m", "venv", environment], { stdio: "pipe" });
    execFileSync(python, ["-m", "pip", "install", "--quiet", release], { stdio: "pipe", timeout: 120_000 });
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
  }
};

const missing = install();
if (missing !== undefined && process.env.CI === "true") throw new Error(`protobuf cannot be installed: ${missing}`);

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
const folder = mkdtempSync(join(tmpdir(), "millrace-text-format-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.skipIf(missing !== undefined)(
  `protobuf's own library and ours read each other's texts (MILLRACE_SEED=${seed})${missing === undefined ? "" : ` (skipped: ${missing})`}`,
  async () => {
    const configs = fc.sample(anyMessage(ModelConfigSchema), { seed, numRuns: 60 });
    const choices = fc.sample(fc.nat(), { seed, numRuns: 100_000 });
    let chosen = 0;
    const choose = (ways: number) => (choices[chosen++ % choices.length] ?? 0) % ways;
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
    const path = join(folder, "asked.json");
    const ours = configs.map((config) => toTextFormat(ModelConfigSchema, config, choose));
    writeFileSync(
      path,
      JSON.stringify({
        descriptor: base64(toBinary(FileDescriptorProtoSchema, file_inference_model_config.proto)),
        message: ModelConfigSchema.typeName,
        messages: configs.map((config) => base64(toBinary(ModelConfigSchema, config))),
        texts: ours,
      }),
    );
    const script = fileURLToPath(new URL("./text_format.py", import.meta.url));
    await promisify(execFile)(python, [script, path], { timeout: 60_000 });
    const { texts, messages } = JSON.parse(readFileSync(`${path}.out`, "utf8")) as {
      texts: string[];
      messages: string[];
    };
    for (const [index, config] of configs.entries()) {
      const theirs = parseTextFormat(ModelConfigSchema, "theirs", texts[index] ?? "");
      expect(equals(ModelConfigSchema, theirs, config), texts[index]).toBe(true);
      const read = fromBinary(ModelConfigSchema, Buffer.from(messages[index] ?? "", "base64"));
      expect(equals(ModelConfigSchema, read, config), ours[index]).toBe(true);
    }
  },
  120_000,
);
