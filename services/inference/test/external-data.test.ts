import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clearField, create, toBinary } from "@bufbuild/protobuf";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { ModelProtoSchema, TensorProto_DataLocation, TensorProtoSchema } from "@millrace/contracts/onnx/onnx";
import { openModelStore } from "@millrace/model-package";
import { readModel } from "@millrace/onnx";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { identityModel, scaleModel } from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floatRequest, floats } from "./tensors.ts";

/** The scale model with its factor in another file: its bytes, and those of the file. */
const externalModel = (factor: number, location: string) => {
  const model = readModel(scaleModel(factor));
  const [weight] = model.graph?.initializer ?? [];
  if (weight?.rawData === undefined) throw new TypeError("The model has no weight.");
  const file = weight.rawData;
  clearField(weight, TensorProtoSchema.field.rawData);
  weight.dataLocation = TensorProto_DataLocation.EXTERNAL;
  const entries = { location, offset: "0", length: String(file.byteLength) };
  model.graph?.initializer.splice(0, 1, {
    ...weight,
    externalData: Object.entries(entries).map(([key, value]) => ({
      $typeName: "onnx.StringStringEntryProto",
      key,
      value,
    })),
  });
  return { model: toBinary(ModelProtoSchema, model), file };
};

describe("a model with weights in other files", () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-external-"));
  const models = join(folder, "models");
  const storeUrl = `oci:${join(folder, "packages")}`;
  let service: RunningInference;

  beforeAll(async () => {
    const beside = externalModel(3, "weights/factor.bin");
    mkdirSync(join(models, "beside", "1", "weights"), { recursive: true });
    writeFileSync(join(models, "beside", "1", "model.onnx"), beside.model);
    writeFileSync(join(models, "beside", "1", "weights", "factor.bin"), beside.file);
    writeFileSync(join(models, "lost.onnx"), externalModel(3, "package.json").model);
    writeFileSync(join(models, "identity.onnx"), identityModel("FP32"));
    const store = await openModelStore(storeUrl);
    const packaged = externalModel(5, "model.onnx.data");
    const externalData = new Map([["model.onnx.data", packaged.file]]);
    const manifest = create(ModelPackageSchema, { name: "packaged" });
    await store.push("packaged", { manifest, model: packaged.model, externalData }, ["v1"]);
    await store.push("without", { manifest, model: packaged.model }, ["v1"]);
    await store.close();
    const declaration = join(folder, "deployments.yaml");
    writeFileSync(
      declaration,
      `deployments:
  - {model: packaged, versions: [{version: 1, package: "packaged:v1"}]}
  - {model: without, versions: [{version: 1, package: "without:v1"}]}
`,
    );
    service = await startInference([
      ...["--models", models, "--model-store-url", storeUrl],
      ...["--deployments-file", declaration, "--deployments-poll-ms", "50"],
    ]);
  }, 60_000);

  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  const statusOf = async (model: string, state: State) => {
    for await (const { deployments } of service.deployments.watchStatus({ model }, { timeoutMs: 20_000 })) {
      const status = deployments.flatMap(({ versions }) => versions).find((version) => version.state === state);
      if (status !== undefined) return status;
    }
    throw new Error("The watch ended.");
  };
  const scaled = async (model: string) => floats(await service.oip.modelInfer(floatRequest(model, [2], [1, 1])));

  test("serves from a folder, in which they lie beside it", async () => {
    await statusOf("beside", State.READY);
    expect(await scaled("beside")).toEqual([6]);
  });

  test("serves from a package that has them", async () => {
    await statusOf("packaged", State.READY);
    expect(await scaled("packaged")).toEqual([10]);
  });

  test("is refused by name where they are not there, and reads no file of the service's working directory", async () => {
    const missing = await statusOf("without", State.FAILED);
    expect(missing).toMatchObject({ reason: "MODEL_INVALID" });
    expect(missing.message).toMatch(
      /keeps weights .* in another file, model\.onnx\.data, which is not among its files/,
    );
    // The service runs in a folder that has a package.json, which the model must not get as weights.
    const lost = await statusOf("lost", State.FAILED);
    expect(lost.message).toMatch(/in another file, .*package\.json, which is not among its files/);
  });
});
