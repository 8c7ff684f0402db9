import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { externalDataFile, externalDataModel } from "../test/external-data-model.ts";
import { ModelInvalidError, OnnxSession, type OnnxSessionOptions } from "./onnxruntime.ts";

describe("a model with weights in another file", () => {
  let folder = "";
  const before = process.cwd();

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "millrace-external-"));
    mkdirSync(join(folder, "working"));
    mkdirSync(join(folder, "beside"));
    writeFileSync(join(folder, "above.bin"), externalDataFile(9));
    writeFileSync(join(folder, "working", "w.bin"), externalDataFile(8));
    writeFileSync(join(folder, "beside", "w.bin"), externalDataFile(7));
    // Where the runtime looks by itself.
    process.chdir(join(folder, "working"));
  });
  afterAll(() => {
    process.chdir(before);
    rmSync(folder, { recursive: true });
  });

  const threeTimes = async (location: string, options: OnnxSessionOptions) => {
    const session = await OnnxSession.create(externalDataModel(location), options);
    const data = new Uint8Array(new Float32Array([3]).buffer);
    const [y] = await session.run([{ name: "x", datatype: "FP32", shape: [1, 1], data }]);
    await session.close();
    return new DataView(y?.data.buffer ?? new ArrayBuffer(0), y?.data.byteOffset).getFloat32(0, true);
  };
  const refused = async (location: string, options: OnnxSessionOptions = {}) => {
    const call = OnnxSession.create(externalDataModel(location), options);
    await expect(call).rejects.toThrow(ModelInvalidError);
    return call.catch((error: Error) => error.message);
  };

  test("takes them from the files that it is given", async () => {
    expect(await threeTimes("w.bin", { externalData: new Map([["w.bin", externalDataFile(5)]]) })).toBe(15);
    expect(await threeTimes("a/w.bin", { externalData: new Map([["a/w.bin", externalDataFile(6)]]) })).toBe(18);
  });

  test("takes them from the folder that it is told", async () => {
    expect(await threeTimes("w.bin", { externalDataFolder: join(folder, "beside") })).toBe(21);
  });

  test("is refused, naming the file, where it is given none, though one of that name lies in the working directory", async () => {
    expect(await refused("w.bin")).toBe(
      "The model keeps weights (w) in another file, w.bin, which is not among its files.",
    );
    expect(await refused("w.bin", { externalData: new Map([["v.bin", externalDataFile(5)]]) })).toContain(" w.bin,");
    expect(await refused("v.bin", { externalDataFolder: join(folder, "beside") })).toContain("v.bin");
  });

  test("reads no file outside of its folder", async () => {
    expect(await refused("../above.bin", { externalDataFolder: join(folder, "beside") })).toContain("../above.bin");
    expect(await refused(join(folder, "above.bin"), { externalDataFolder: join(folder, "beside") })).toBe(
      "The model keeps weights (w) in another file, which is not among its files.",
    );
    expect(await refused("../above.bin")).toContain("../above.bin");
  });
});
