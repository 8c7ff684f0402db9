import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { bytesOf, decodeStrings, encodeStrings } from "@millrace/tensor";
import { stringify } from "yaml";
import { lookUpModel, scaleModel, slowModel } from "./models.ts";
import { ofCircle, type PipelineDeployment, twoSteps } from "./pipeline-examples.ts";
import {
  addModel,
  affineModel,
  greetModel,
  meanOfThreeModel,
  reshapeModel,
  sumModel,
  switchedModel,
} from "./pipeline-models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { rawOutputs } from "./tensors.ts";

type Value = readonly number[] | readonly string[] | readonly boolean[] | readonly bigint[];

/** A service with the models that the pipelines of the tests read, and a declaration that a test can change. */
export class PipelineService {
  readonly #folder = mkdtempSync(join(tmpdir(), "millrace-pipelines-"));
  #running: RunningInference | undefined;

  get service(): RunningInference {
    if (this.#running === undefined) throw new Error("The service was not started.");
    return this.#running;
  }

  readonly putModel = (name: string, bytes: Uint8Array): void => {
    const part = join(this.#folder, "part");
    writeFileSync(part, bytes);
    renameSync(part, join(this.#folder, "models", `${name}.onnx`));
  };

  /** Puts an ensemble as Triton's users write it. */
  readonly putEnsemble = (name: string, config: string): void => {
    const own = join(this.#folder, "models", name);
    mkdirSync(join(own, "1"), { recursive: true });
    writeFileSync(join(own, "config.pbtxt"), `platform: "ensemble"\nmax_batch_size: 8\n${config}`);
  };

  readonly declare = (deployments: readonly PipelineDeployment[]): void => {
    const file = join(this.#folder, "deployments.yaml");
    writeFileSync(`${file}.new`, stringify({ deployments }));
    renameSync(`${file}.new`, file);
  };

  async start(deployments: readonly PipelineDeployment[]): Promise<void> {
    const { putModel, putEnsemble } = this;
    const models = join(this.#folder, "models");
    mkdirSync(models);
    putModel("double", affineModel(2, 0));
    putModel("triple", affineModel(3, 1));
    putModel("add", addModel());
    putModel("one", sumModel(1));
    putModel("ten", sumModel(10));
    putModel("hundred", sumModel(100));
    putModel("mean", meanOfThreeModel());
    for (const name of ["hoi", "bonjour", "servus", "hello"]) putModel(name, greetModel(`${name} `));
    putModel("minus", scaleModel(-1));
    putModel("plus", scaleModel(1));
    putModel("on", switchedModel(1, "BOOL"));
    putModel("off", switchedModel(-1, "BOOL"));
    putModel("table", lookUpModel());
    putModel("swapped", scaleModel(1));
    putModel("follows", affineModel(2, 0));
    putModel("reshape", reshapeModel());
    putModel("slow", slowModel(12));
    putEnsemble("triton", twoSteps("TYPE_FP32"));
    putEnsemble("misfit", twoSteps("TYPE_INT64"));
    putEnsemble("ring", ofCircle);
    this.declare(deployments);
    const flags = ["--deployments-file", join(this.#folder, "deployments.yaml"), "--deployments-poll-ms", "50"];
    this.#running = await startInference(["--models", models, ...flags]);
  }

  /** @returns the exit code. */
  async stop(): Promise<number | null> {
    const code = await this.service.stop();
    rmSync(this.#folder, { recursive: true });
    return code;
  }

  /** Calls a model with inputs of so many rows. FP32, or what the values ask for. */
  readonly infer = async (
    modelName: string,
    inputs: Readonly<Record<string, Value>>,
    rows: number,
    options: object = {},
  ) => {
    const tensors = Object.entries(inputs).map(([name, values]) => ({ name, ...encoded(values) }));
    const response = await this.service.oip.modelInfer(
      {
        modelName,
        inputs: tensors.map(({ name, datatype, count }) => ({
          name,
          datatype,
          shape: [BigInt(rows), BigInt(rows === 0 ? 1 : count / rows)],
        })),
        rawInputContents: tensors.map(({ data }) => data),
      },
      options,
    );
    return Object.fromEntries(
      rawOutputs(response).map(({ name, datatype, shape, data }) => [
        name,
        datatype === "BYTES"
          ? decodeStrings(
              name,
              data,
              shape.reduce((product, length) => product * length, 1),
            )
          : [...new Float32Array(data.slice().buffer)],
      ]),
    );
  };

  /** Waits until the status of a model is in a state. */
  readonly awaitState = async (model: string, state: State, message = /.*/) => {
    for await (const { deployments } of this.service.deployments.watchStatus({ model }, { timeoutMs: 20_000 })) {
      const status = deployments.flatMap(({ versions }) => versions).at(-1);
      if (status?.state === state && message.test(status.message)) return status;
    }
    throw new Error("The watch ended.");
  };

  /** What a model has done. */
  readonly statistics = async (name: string) => {
    const [first] = (await this.service.oip.modelStatistics({ name })).modelStats;
    if (first === undefined) throw new Error(`There are no statistics of ${name}.`);
    return first;
  };
}

const encoded = (values: Value) => {
  const [first] = values;
  const count = values.length;
  if (typeof first === "string") return { datatype: "BYTES", count, data: encodeStrings(values as string[]) };
  if (typeof first === "boolean")
    return { datatype: "BOOL", count, data: Uint8Array.from(values as boolean[], Number) };
  if (typeof first === "bigint") {
    return { datatype: "INT64", count, data: bytesOf(BigInt64Array.from(values as bigint[])) };
  }
  return { datatype: "FP32", count, data: bytesOf(Float32Array.from(values as number[])) };
};

/** So many eighths between -125 and 125: products and sums of them are exact in FP32. */
export const eighths = (count: number, random: () => number): number[] =>
  Array.from({ length: count }, () => Math.round(random() * 2000 - 1000) / 8);
