import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clearField, create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { BaselineSchema, GoldenSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { ModelProtoSchema, TensorProto_DataLocation, TensorProtoSchema } from "@millrace/contracts/onnx/onnx";
import { type ModelStore, openModelStore } from "@millrace/model-package";
import { GraphBuilder, readModel } from "@millrace/onnx";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readPackageFolder, writePackageFolder } from "./package-folder.ts";

/** y = 2 x. */
const doubleModel = (): Uint8Array => {
  const graph = new GraphBuilder("double");
  const x = graph.input("x", "FP32", ["rows", 1]);
  graph.output("y", graph.node("Mul", [x, graph.constant("FP32", Float32Array.of(2), [1])]), "FP32", ["rows", 1]);
  return graph.toBytes();
};

/** The same with its factor in another file: the model, and the bytes of the file. */
const externalModel = (location: string): { readonly model: Uint8Array; readonly file: Uint8Array } => {
  const parsed = readModel(doubleModel());
  const [weight] = parsed.graph?.initializer ?? [];
  if (weight?.rawData === undefined) throw new TypeError("The model has no weight.");
  const file = weight.rawData;
  clearField(weight, TensorProtoSchema.field.rawData);
  weight.dataLocation = TensorProto_DataLocation.EXTERNAL;
  weight.externalData = [{ $typeName: "onnx.StringStringEntryProto", key: "location", value: location }];
  return { model: toBinary(ModelProtoSchema, parsed), file };
};

describe("a folder of a package", () => {
  let root = "";
  let store: ModelStore;
  const at = (...names: string[]): string => join(root, ...names);

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "millrace-package-folder-"));
    store = await openModelStore(`oci:${at("store")}`);
    mkdirSync(at("double"));
    writeFileSync(at("double", "model.onnx"), doubleModel());
  });
  afterEach(async () => {
    await store.close();
    rmSync(root, { recursive: true });
  });

  test("that was written gives the same package when it is read again", async () => {
    const golden = create(GoldenSchema, { absoluteTolerance: 0.5 });
    writeFileSync(at("double/millrace.json"), JSON.stringify({ name: "double", description: "Twice as much." }));
    writeFileSync(at("double/golden.json"), toJsonString(GoldenSchema, golden));
    writeFileSync(at("double/baseline.binpb"), toBinary(BaselineSchema, create(BaselineSchema, { timeZone: "UTC" })));
    writeFileSync(at("double/README.md"), "# double\n");
    writeFileSync(at("double/notes.txt"), "not for others");
    const read = await readPackageFolder(at("double"), "unused");
    expect(read.ignored).toEqual(["notes.txt"]);
    expect(read.content.golden).toEqual(golden);
    const { digest } = await store.push("double", read.content);
    await writePackageFolder(await store.pull(`double@${digest}`), at("pulled/double"));
    const files = ["README.md", "baseline.binpb", "golden.binpb", "millrace.json", "model.onnx"];
    expect(readdirSync(at("pulled/double")).sort()).toEqual(files);
    expect(readdirSync(at("pulled"))).toEqual(["double"]);
    expect(statSync(at("pulled/double")).mode & 0o777).toBe(0o777 & ~process.umask());
    const again = await readPackageFolder(at("pulled/double"), "unused");
    expect(again.ignored).toEqual([]);
    expect(await store.push("double", again.content)).toEqual({ digest });
  });

  test("has the files with weights that the model names, and no other", async () => {
    const { model, file } = externalModel("weights/w.bin");
    writeFileSync(at("double/model.onnx"), model);
    await expect(readPackageFolder(at("double"), "double")).rejects.toThrow(/weights\/w\.bin, which is not there/);
    mkdirSync(at("double/weights"));
    writeFileSync(at("double/weights/w.bin"), file);
    const { content, ignored } = await readPackageFolder(at("double"), "double");
    expect(ignored).toEqual([]);
    const { digest } = await store.push("double", content);
    await writePackageFolder(await store.pull(`double@${digest}`), at("pulled"));
    expect(readFileSync(at("pulled/weights/w.bin"))).toEqual(Buffer.from(file));
    writeFileSync(at("w.bin"), file);
    writeFileSync(at("double/model.onnx"), externalModel("../w.bin").model);
    await expect(readPackageFolder(at("double"), "double")).rejects.toThrow(/\.\.\/w\.bin, which is not there/);
  });

  test("has no file that a link leads to out of it, and those that a link within it names", async () => {
    const { model, file } = externalModel("weights/w.bin");
    writeFileSync(at("double/model.onnx"), model);
    mkdirSync(at("outside"));
    writeFileSync(at("outside/w.bin"), file);
    symlinkSync(at("outside"), at("double/weights"));
    await expect(readPackageFolder(at("double"), "double")).rejects.toThrow(
      /weights\/w\.bin is a link out of the folder/,
    );
    rmSync(at("double/weights"));
    mkdirSync(at("double/weights"));
    symlinkSync(at("outside/w.bin"), at("double/weights/w.bin"));
    await expect(readPackageFolder(at("double"), "double")).rejects.toThrow(
      /weights\/w\.bin is a link out of the folder/,
    );
    rmSync(at("double/weights/w.bin"));
    writeFileSync(at("double/kept.bin"), file);
    symlinkSync("../kept.bin", at("double/weights/w.bin"));
    symlinkSync(at("double"), at("linked"));
    const { content } = await readPackageFolder(at("linked"), "double");
    expect(content.externalData?.get("weights/w.bin")).toEqual(new Uint8Array(file));
  });

  test("may be a bare ONNX file, whatever lies beside it", async () => {
    writeFileSync(at("double/README.md"), "of something else");
    const { content, ignored } = await readPackageFolder(at("double/model.onnx"), "double");
    expect(content.card).toBeUndefined();
    expect(ignored).toEqual([]);
    expect(content.manifest).toMatchObject({
      name: "double",
      signature: { outputs: [{ name: "y", datatype: "FP32" }] },
    });
  });

  test("is refused by the name of the file that is wrong", async () => {
    writeFileSync(at("none.onnx"), "no model");
    await expect(readPackageFolder(at("none.onnx"), "x")).rejects.toThrow(/no ONNX model/);
    await expect(readPackageFolder(at("absent"), "x")).rejects.toThrow(/absent cannot be used: ENOENT/);
    await expect(readPackageFolder(root, "x")).rejects.toThrow(/There is no model\.onnx in/);
    writeFileSync(at("double/golden.json"), '{"examples": 7}');
    await expect(readPackageFolder(at("double"), "x")).rejects.toThrow(/golden\.json is no .*Golden as protobuf JSON/);
    writeFileSync(at("double/golden.binpb"), "");
    await expect(readPackageFolder(at("double"), "x")).rejects.toThrow(/both golden\.json and golden\.binpb/);
  });

  test("is not written over one that holds something, and not by half", async () => {
    const { digest } = await store.push("double", (await readPackageFolder(at("double"), "double")).content);
    const pulled = () => store.pull(`double@${digest}`);
    await expect(writePackageFolder(await pulled(), at("double"))).rejects.toThrow(/is there already and not empty/);
    writeFileSync(at("file"), "");
    await expect(writePackageFolder(await pulled(), at("file/x"))).rejects.toThrow(/file\/x cannot be used/);
    const reader = await pulled();
    const blob = reader.files[0]?.digest.slice("sha256:".length) ?? "";
    writeFileSync(at("store/double/blobs/sha256", blob), "damaged");
    await expect(writePackageFolder(reader, at("damaged"))).rejects.toThrow(/is corrupt/);
    mkdirSync(at("empty"));
    await store.push("double", (await readPackageFolder(at("double"), "double")).content);
    await writePackageFolder(await pulled(), at("empty"));
    expect(readdirSync(at("empty")).sort()).toEqual(["millrace.json", "model.onnx"]);
    expect(readdirSync(root).sort()).toEqual(["double", "empty", "file", "store"]);
  });
});
