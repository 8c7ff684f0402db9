import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { DeploymentDeclarationSchema } from "@millrace/contracts/millrace/inference/v1/deployment";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { RpcError } from "@millrace/grpc";
import { seededRandom } from "@millrace/stats";
import { bytesOf, decodeStrings, encodeStrings } from "@millrace/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { lookUpModel, scaleModel, slowModel } from "./models.ts";
import {
  addModel,
  affineModel,
  greetModel,
  meanOfThreeModel,
  reshapeModel,
  sumModel,
  switchedModel,
} from "./pipeline-models.ts";
import { randomPipeline } from "./random-pipeline.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floats, rawOutputs } from "./tensors.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
console.log(`MILLRACE_SEED=${seed}`);
const random = seededRandom(seed);

const folder = mkdtempSync(join(tmpdir(), "millrace-pipelines-"));
const models = join(folder, "models");
const file = join(folder, "deployments.yaml");
let service: RunningInference;

const putModel = (name: string, bytes: Uint8Array) => {
  writeFileSync(join(folder, "part"), bytes);
  renameSync(join(folder, "part"), join(models, `${name}.onnx`));
};

/** An ensemble as Triton's users write it. */
const putEnsemble = (name: string, config: string) => {
  mkdirSync(join(models, name, "1"), { recursive: true });
  writeFileSync(join(models, name, "config.pbtxt"), `platform: "ensemble"\nmax_batch_size: 8\n${config}`);
};

const twoSteps = (datatype: string) => `
input [ { name: "IN" data_type: ${datatype} dims: [ 2 ] } ]
output [ { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }, { name: "MID" data_type: TYPE_FP32 dims: [ 2 ] } ]
ensemble_scheduling { step [
  { model_name: "double" model_version: -1
    input_map { key: "x" value: "IN" } output_map { key: "y" value: "MID" } },
  { model_name: "ten" model_version: -1
    input_map { key: "x" value: "MID" } output_map { key: "score" value: "OUT" } }
] }
`;

const ofCircle = `
input [ { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] } ]
ensemble_scheduling { step [ { model_name: "circle" model_version: -1
  input_map { key: "x" value: "IN" } output_map { key: "y" value: "OUT" } } ] }
`;

interface Deployment {
  readonly model: string;
  readonly pipeline: object;
}
const declare = (deployments: readonly Deployment[]) => {
  writeFileSync(`${file}.new`, stringify({ deployments }));
  renameSync(`${file}.new`, file);
};

const pipeline = (model: string, yaml: string): Deployment => ({ model, pipeline: parse(yaml) as object });

const ensemble = pipeline(
  "ensemble",
  `
  outputs: { score: mean.mean }
  steps:
    - { name: mean, model: mean, inputs: { a: a.score, b: second, c: c.score } }
    - { name: a, model: one, inputs: { x: prepare.y } }
    - { name: b, model: ten, inputs: { x: prepare.y }, outputs: { score: second } }
    - { name: c, model: hundred, inputs: { x: prepare.y } }
    - { name: prepare, model: double, inputs: { x: raw } }
  `,
);
const byText = pipeline(
  "by_text",
  `
  outputs: { greeting: greet.greeting, x: greet.x_out }
  steps:
    - name: greet
      router:
        tensor: country
        routes: [{ equals: NL, model: hoi }, { equals: BE, model: bonjour }, { equals: Österreich, model: servus }]
        otherwise: hello
  `,
);
const byNumber = pipeline(
  "by_number",
  `
  outputs: { y: chosen.y }
  steps:
    - name: chosen
      router: { tensor: x, routes: [{ lessThan: 0, model: minus }, { atLeast: 10.5, model: plus }] }
  `,
);
const byBool = pipeline(
  "by_bool",
  `
  outputs: { y: chosen.y }
  steps:
    - name: chosen
      router: { tensor: on, routes: [{ equals: true, model: on }, { equals: false, model: off }] }
  `,
);
const byWhole = pipeline(
  "by_whole",
  `
  outputs: { y: chosen.y }
  steps:
    - name: chosen
      router: { tensor: kind, routes: [{ equals: 1, model: minus }], otherwise: plus }
  `,
);
const failing = pipeline(
  "failing",
  `
  outputs: { y: next.y }
  steps:
    - { name: look, model: table, inputs: { x: index } }
    - { name: next, model: swapped, inputs: { x: look.y } }
  `,
);
const patient = pipeline(
  "patient",
  `
  outputs: { y: second.y }
  steps:
    - { name: first, model: slow }
    - { name: second, model: slow, inputs: { x: first.y } }
  `,
);
const outer = pipeline(
  "outer",
  `
  outputs: { score: last.y }
  steps:
    - { name: inner, model: ensemble }
    - { name: last, model: swapped, inputs: { x: inner.score } }
  `,
);
const followed = pipeline("followed", "{ outputs: { y: only.y }, steps: [{ name: only, model: follows }] }");
const circle = pipeline("circle", "{ outputs: { y: a.y }, steps: [{ name: a, model: minus }] }");
const reshaping = pipeline(
  "reshaping",
  "{ outputs: { y: last.y }, steps: [{ name: first, model: reshape }, { name: last, model: double, inputs: { x: first.y } }] }",
);
const declared = [ensemble, byText, byNumber, byBool, byWhole, failing, patient, outer, followed, circle, reshaping];

/** Pipelines of random form over \`double\`, \`triple\` and \`add\`. */
const drawn = Array.from({ length: 12 }, (_, index) => randomPipeline(`drawn_${index}`, random));

beforeAll(async () => {
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
  declare([...declared, ...drawn.map(({ name: model, declaration }) => ({ model, pipeline: declaration }))]);
  service = await startInference(["--models", models, "--deployments-file", file, "--deployments-poll-ms", "50"]);
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true });
});

type Value = readonly number[] | readonly string[] | readonly boolean[] | readonly bigint[];

/** Calls a model with inputs of so many rows. FP32, or what the values ask for. */
const infer = async (
  modelName: string,
  inputs: Readonly<Record<string, Value>>,
  rows: number,
  options: object = {},
) => {
  const tensors = Object.entries(inputs).map(([name, values]) => ({ name, ...encoded(values) }));
  const response = await service.oip.modelInfer(
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

const numbers = (count: number) => Array.from({ length: count }, () => Math.round(random() * 2000 - 1000) / 8);

/** Waits until the status of a model is in a state. */
const awaitState = async (model: string, state: State, message = /.*/) => {
  for await (const { deployments } of service.deployments.watchStatus({ model }, { timeoutMs: 20_000 })) {
    const status = deployments.flatMap(({ versions }) => versions).at(-1);
    if (status?.state === state && message.test(status.message)) return status;
  }
  throw new Error("The watch ended.");
};

describe("a pipeline", () => {
  test("answers what its models answer one by one, whatever its form and the order of its steps", async () => {
    for (const { name, inputs, byHand } of drawn) {
      for (const rows of [1, 5]) {
        const given = Object.fromEntries(inputs.map((input) => [input, numbers(rows * 2)]));
        const expected = await byHand(
          given,
          (model, own) => infer(model, own, rows) as Promise<Record<string, number[]>>,
        );
        expect(await infer(name, given, rows), name).toEqual(expected);
      }
    }
  }, 60_000);

  test("of three models and one that combines them answers their mean", async () => {
    const { score } = await infer("ensemble", { raw: [1, 2, -3, 4] }, 2);
    expect(score).toEqual([(6 * 111) / 3, (2 * 111) / 3]);
  });

  test("may be a step of another", async () => {
    expect(await infer("outer", { raw: [1, 2] }, 1)).toEqual({ score: [(6 * 111) / 3] });
  });

  test("holds a tensor whose rank no graph tells to its reader, call by call", async () => {
    const ask = (shape: readonly number[]) =>
      service.oip.modelInfer({
        modelName: "reshaping",
        inputs: [
          { name: "x", datatype: "FP32", shape: [6n] },
          { name: "shape", datatype: "INT64", shape: [BigInt(shape.length)] },
        ],
        rawInputContents: [bytesOf(Float32Array.of(1, 2, 3, 4, 5, 6)), bytesOf(BigInt64Array.from(shape, BigInt))],
      });
    expect(floats(await ask([3, 2]))).toEqual([2, 4, 6, 8, 10, 12]);
    await expect(ask([2, 3])).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(
        "The step last (double) of the pipeline reshaping: x.shape: expected [-1, 2], got [2, 3].",
      ),
    });
  });

  test("takes no rows at all, and answers none", async () => {
    const none = { inputs: [{ name: "raw", datatype: "FP32", shape: [0n, 2n] }], rawInputContents: [new Uint8Array()] };
    const { outputs } = await service.oip.modelInfer({ modelName: "ensemble", ...none });
    expect(outputs).toMatchObject([{ name: "score", shape: [0n, 1n] }]);
    expect(await infer("by_number", { x: [] }, 0)).toEqual({ y: [] });
  });

  test("is told of as Triton tells of an ensemble", async () => {
    expect(await service.oip.modelMetadata({ name: "ensemble" })).toMatchObject({
      name: "ensemble",
      versions: ["1"],
      platform: "ensemble",
      inputs: [{ name: "raw", datatype: "FP32", shape: [-1n, 2n] }],
      outputs: [{ name: "score", datatype: "FP32", shape: [-1n, 1n] }],
    });
    const { config } = await service.oip.modelConfig({ name: "ensemble" });
    expect(config).toMatchObject({ platform: "ensemble", maxBatchSize: 128, input: [{ name: "raw", dims: [2n] }] });
    expect(config?.schedulingChoice).toMatchObject({
      case: "ensembleScheduling",
      value: {
        step: [
          {
            modelName: "mean",
            modelVersion: -1n,
            inputMap: { a: "a.score", b: "second" },
            outputMap: { mean: "score" },
          },
          { modelName: "one", inputMap: { x: "prepare.y" } },
          { modelName: "ten" },
          { modelName: "hundred" },
          { modelName: "double", inputMap: { x: "raw" } },
        ],
      },
    });
    const { models: index } = await service.oip.repositoryIndex({});
    expect(index.find(({ name }) => name === "ensemble")).toMatchObject({ version: "1", state: "READY" });
  });

  test("is what an ensemble of a Triton repository is, held to its configuration", async () => {
    expect(await infer("triton", { IN: [1, 2] }, 1)).toEqual({ OUT: [60], MID: [2, 4] });
    await expect(infer("triton", { IN: numbers(18) }, 9)).rejects.toMatchObject({ message: /at most 8/ });
    const { config } = await service.oip.modelConfig({ name: "triton" });
    expect(config).toMatchObject({
      platform: "ensemble",
      maxBatchSize: 8,
      input: [{ name: "IN", dims: [2n] }],
      schedulingChoice: {
        case: "ensembleScheduling",
        value: { step: [{ modelName: "double" }, { modelName: "ten" }] },
      },
    });
    const status = await awaitState("misfit", State.FAILED);
    expect(status.message).toMatch(/input\[0\]\.data_type/);
  });

  test("counts its requests and rows, and times each step", async () => {
    const before = await statistics("ensemble");
    await infer("ensemble", { raw: numbers(6) }, 3);
    const after = await statistics("ensemble");
    expect(after.inferenceCount - before.inferenceCount).toBe(3n);
    expect(after.executionCount - before.executionCount).toBe(1n);
    const text = await (await fetch(service.metricsUrl)).text();
    expect(text).toContain("# TYPE millrace_pipeline_step_seconds histogram");
    const line =
      /millrace_pipeline_step_seconds_count\{pipeline="ensemble",step="prepare",model="double".*\} (\d+)/.exec(text);
    expect(Number(line?.[1])).toBeGreaterThanOrEqual(1);
    expect(text).toMatch(
      new RegExp(
        `step_seconds_bucket\\{pipeline="ensemble",step="prepare",model="double",le="\\+Inf".*\\} ${line?.[1]}\n`,
      ),
    );
  });
});

const statistics = async (name: string) => {
  const [first] = (await service.oip.modelStatistics({ name })).modelStats;
  if (first === undefined) throw new Error(`There are no statistics of ${name}.`);
  return first;
};

describe("a router", () => {
  test("sends each row to the model of its text, and brings texts and numbers back in order", async () => {
    const known = ["NL", "BE", "Österreich", "DE", ""];
    const country = Array.from({ length: 40 }, () => known[Math.floor(random() * known.length)] ?? "");
    const x = numbers(40);
    const words: Record<string, string> = {
      NL: "hoi NL",
      BE: "bonjour BE",
      Österreich: "servus Österreich",
      DE: "hello DE",
    };
    expect(await infer("by_text", { country, x }, 40)).toEqual({
      greeting: country.map((text) => words[text] ?? "hello ?"),
      x,
    });
  });

  test("sends a row by its number, the first route that takes it", async () => {
    expect(await infer("by_number", { x: [-1, 10.5, 11, -0.5] }, 4)).toEqual({ y: [1, 10.5, 11, 0.5] });
  });

  test("sends a row by a bool", async () => {
    expect(await infer("by_bool", { x: [1, 2, 3], on: [true, false, true] }, 3)).toEqual({ y: [2, 1, 4] });
  });

  test("reads a tensor that no model does, as whole numbers where its routes are", async () => {
    expect(await infer("by_whole", { x: [1, 2, 3], kind: [1n, 2n, 9_007_199_254_740_993n] }, 3)).toEqual({
      y: [-1, 2, 3],
    });
  });

  test("refuses a row that no route takes, by name, place and value", async () => {
    for (const [value, text] of [
      [5, "5"],
      [Number.NaN, "NaN"],
    ] as const) {
      await expect(infer("by_number", { x: [-1, value] }, 2)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "TENSOR_INVALID",
        message: expect.stringContaining(
          `The step chosen (router) of the pipeline by_number: x[1]: expected a value that a route takes: less than 0, at least 10.5, got ${text}.`,
        ),
      });
    }
  });
});

describe("a call that fails", () => {
  test("keeps the code and the reason of the step, which is named, and is counted", async () => {
    await expect(infer("failing", { index: [0n, 7n] }, 2)).rejects.toMatchObject({
      code: "INTERNAL",
      reason: "MODEL_FAILED",
      message: expect.stringContaining("The step look (table) of the pipeline failing:"),
      metadata: expect.objectContaining({ pipeline: "failing", step: "look" }),
    });
    expect(await infer("failing", { index: [0n, 2n] }, 2)).toEqual({ y: [10, 30] });
    expect(await (await fetch(service.metricsUrl)).text()).toMatch(
      /millrace_pipeline_step_failures_total\{pipeline="failing",step="look",model="table",code="INTERNAL".*\} 1/,
    );
  });

  test("is refused for inputs that do not fit, by the names of the pipeline's inputs", async () => {
    await expect(infer("ensemble", { raw: numbers(3) }, 1)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("raw.shape: expected [-1, 2], got [1, 3]"),
    });
    await expect(infer("ensemble", { raw: numbers(258) }, 129)).rejects.toMatchObject({
      message: expect.stringContaining("at most 128"),
    });
    await expect(infer("ensemble", { x: numbers(2) }, 1)).rejects.toMatchObject({
      message: expect.stringContaining("raw: expected an input of FP32, got none"),
    });
  });

  test("ends when the caller's time is over, and what it has in queues is not run", async () => {
    const call = (options: object) =>
      service.oip.modelInfer(
        {
          modelName: "patient",
          inputs: [{ name: "x", datatype: "FP32", shape: [1n] }],
          rawInputContents: [bytesOf(Float32Array.of(1))],
        },
        options,
      );
    const before = await statistics("slow");
    const calls = Array.from({ length: 20 }, () => call({ timeoutMs: 40 }));
    const ended = await Promise.allSettled(calls);
    expect(ended.filter(({ status }) => status === "rejected").length).toBeGreaterThan(0);
    for (const result of ended) {
      if (result.status === "fulfilled") continue;
      // Where its turn would come after the deadline it is refused at once.
      expect(["DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"]).toContain((result.reason as RpcError).code);
    }
    // The queue is first in, first out: what came before this call and was to run has run when it is answered.
    await call({ timeoutMs: 20_000 });
    const after = await statistics("slow");
    expect(after.executionCount - before.executionCount).toBeLessThan(42n);
  }, 30_000);
});

describe("under load", () => {
  test("calls of pipelines and direct ones are joined in one lane, and rows are never mixed up", async () => {
    const before = await statistics("double");
    const one = async (index: number) => {
      const rows = 1 + (index % 4);
      const raw = numbers(rows * 2);
      if (index % 3 === 0) {
        expect((await infer("double", { x: raw }, rows)).y).toEqual(raw.map((value) => value * 2));
        return;
      }
      if (index % 5 === 0) {
        const country = Array.from({ length: rows }, (_, row) => ["NL", "BE", "DE"][(index + row) % 3] ?? "");
        const words: Record<string, string> = { NL: "hoi NL", BE: "bonjour BE", DE: "hello DE" };
        const x = raw.slice(0, rows);
        expect(await infer("by_text", { country, x }, rows)).toEqual({
          greeting: country.map((text) => words[text]),
          x,
        });
        return;
      }
      const { score = [] } = await infer("ensemble", { raw }, rows);
      for (let row = 0; row < rows; row++) {
        const sum = 2 * ((raw[row * 2] ?? 0) + (raw[row * 2 + 1] ?? 0));
        expect(score[row]).toBeCloseTo(sum * 37, 1);
      }
    };
    await Promise.all(Array.from({ length: 300 }, (_, index) => one(index)));
    const after = await statistics("double");
    expect(after.inferenceStats?.success?.count).toBeGreaterThan(before.inferenceStats?.success?.count ?? 0n);
    expect(after.executionCount - before.executionCount).toBeLessThan(300n);
  }, 30_000);

  test("a step's model is swapped without a failed call", async () => {
    let stop = false;
    const seen = new Set<number>();
    const call = async () => {
      while (!stop) {
        const { score = [] } = await infer("outer", { raw: [1, 0] }, 1);
        seen.add(Number(score[0]) / 74);
      }
    };
    const callers = Array.from({ length: 8 }, call);
    for (const factor of [2, 3, 4]) {
      putModel("swapped", scaleModel(factor));
      await service.oip.repositoryModelLoad({ modelName: "swapped" });
      expect(await infer("outer", { raw: [1, 0] }, 1)).toEqual({ score: [74 * factor] });
    }
    stop = true;
    await Promise.all(callers);
    expect([...seen].every((factor) => [1, 2, 3, 4].includes(factor))).toBe(true);
  }, 60_000);

  test("a pipeline itself is declared anew without a failed call", async () => {
    const chain = (length: number) =>
      pipeline(
        "chain",
        `{ version: ${length}, outputs: { y: s${length}.y }, steps: [{ name: s1, model: triple }, ${Array.from({ length: length - 1 }, (_, at) => `{ name: s${at + 2}, model: triple, inputs: { x: s${at + 1}.y } }`).join(", ")}] }`,
      );
    const tripled = (times: number): number => (times === 0 ? 1 : tripled(times - 1) * 3 + 1);
    const declareChain = async (length: number) => {
      declare([...declared, chain(length)]);
      for (;;) {
        const found = await service.oip.modelMetadata({ name: "chain" }).catch(() => undefined);
        if (found?.versions.at(-1) === String(length)) return;
      }
    };
    await declareChain(2);
    let stop = false;
    const seen = new Set<number>();
    const callers = Array.from({ length: 6 }, async () => {
      while (!stop) seen.add(Number((await infer("chain", { x: [1, 1] }, 1)).y?.[0]));
    });
    for (const length of [3, 4, 5]) await declareChain(length);
    stop = true;
    await Promise.all(callers);
    expect([...seen].every((value) => [2, 3, 4, 5].map(tripled).includes(value))).toBe(true);
    expect(await infer("chain", { x: [1, 1] }, 1)).toEqual({ y: [tripled(5), tripled(5)] });
  }, 60_000);
});

describe("where a step's model", () => {
  test("is unloaded, the pipeline is not ready and says why, and serves again when it is back", async () => {
    await service.oip.repositoryModelUnload({ modelName: "hundred" });
    const status = await awaitState("ensemble", State.FAILED);
    expect(status).toMatchObject({
      reason: "MODEL_NOT_READY",
      message: expect.stringContaining("The step c: There is no model hundred."),
    });
    expect(await service.oip.modelReady({ name: "ensemble" })).toMatchObject({ ready: false });
    expect(await service.oip.serverReady({})).toMatchObject({ ready: true });
    await expect(infer("ensemble", { raw: [1, 2] }, 1)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("The step c: There is no model hundred."),
    });
    await awaitState("outer", State.FAILED, /The step inner: Version 1 of the model ensemble is unavailable/);
    const { models: index } = await service.oip.repositoryIndex({});
    expect(index.find(({ name }) => name === "ensemble")).toMatchObject({ state: "UNAVAILABLE" });
    await service.oip.repositoryModelLoad({ modelName: "hundred" });
    await awaitState("outer", State.READY);
    expect((await infer("ensemble", { raw: [1, 2] }, 1)).score).toEqual([222]);
  }, 30_000);

  test("changes what it takes, the pipeline says which field no longer fits", async () => {
    putModel("hundred", sumModel(100, 5));
    await service.oip.repositoryModelLoad({ modelName: "hundred" });
    const status = await awaitState("ensemble", State.FAILED);
    expect(status).toMatchObject({
      reason: "DECLARATION_INVALID",
      message: expect.stringMatching(
        /deployments\[0\]\.pipeline\.steps\[3\]\.inputs\.x: expected FP32 \[-1, 5\], got FP32 \[-1, 2\] \(prepare\.y of the step prepare\)/,
      ),
    });
    putModel("hundred", sumModel(100));
    await service.oip.repositoryModelLoad({ modelName: "hundred" });
    await awaitState("ensemble", State.READY);
  }, 30_000);
});

describe("a pipeline whose callers' tensors follow from a model that changes", () => {
  test("takes the new ones from then on, under the same name and version", async () => {
    expect(await infer("followed", { x: [1, 2] }, 1)).toEqual({ y: [2, 4] });
    putModel("follows", affineModel(2, 0, 3));
    await service.oip.repositoryModelLoad({ modelName: "follows" });
    expect(await infer("followed", { x: [1, 2, 3] }, 1)).toEqual({ y: [2, 4, 6] });
    const { versions } = (await service.deployments.getStatus({ model: "followed" })).deployments[0] ?? {};
    expect(versions?.map(({ state }) => state)).toEqual([State.UNLOADED, State.READY]);
  });
});

describe("a declaration", () => {
  const findings = async (...deployments: readonly Deployment[]) => {
    const declaration = fromJson(DeploymentDeclarationSchema, JSON.parse(JSON.stringify({ deployments })));
    return (await service.deployments.validate({ declaration })).findings.map(
      ({ field, message }) => `${field}: ${message}`,
    );
  };
  const steps = (text: string, outputs = "{ y: a.y }") => pipeline("p", `{ outputs: ${outputs}, steps: [${text}] }`);

  test.each([
    [
      "a model that is not there",
      "{ name: a, model: nowhere }",
      /steps\[0\]\.model: expected a model that is declared or served, got nowhere/,
    ],
    [
      "a route to a model that is not there",
      "{ name: a, router: { tensor: x, routes: [{ equals: 1, model: plus }, { equals: 2, model: gone }] } }",
      /steps\[0\]\.router\.routes\[1\]\.model: .* got gone/,
    ],
    [
      "a step's name twice",
      "{ name: a, model: plus }, { name: a, model: plus }",
      /steps\[1\]\.name: expected a name that no other step has, got a/,
    ],
    [
      "a tensor's name twice",
      "{ name: a, model: plus, outputs: { y: t } }, { name: b, model: plus, outputs: { y: t } }",
      /steps\[1\]\.outputs\.y: expected a name that no other tensor has, got t, which the step a gives/,
    ],
    [
      "a cycle",
      "{ name: a, model: plus, inputs: { x: b.y } }, { name: b, model: plus, inputs: { x: a.y } }",
      /steps\[0\]\.inputs: .* got a cycle: a reads from b reads from a/,
    ],
    [
      "itself as a model",
      "{ name: a, model: p }",
      /steps\[0\]\.model: expected a model that does not include this pipeline, got p/,
    ],
    [
      "neither a model nor a router",
      "{ name: a }",
      /steps\[0\]\.model: expected a model, or a router in its place, got neither/,
    ],
    [
      "a route without a condition",
      "{ name: a, router: { tensor: x, routes: [{ model: plus }] } }",
      /routes\[0\]: expected equals .* got no condition/,
    ],
    [
      "routes by numbers and texts",
      "{ name: a, router: { tensor: x, routes: [{ equals: 1, model: plus }, { equals: b, model: minus }] } }",
      /routes: expected conditions of one kind, got number and string/,
    ],
  ])("with %s is refused before it is in force", async (_, text, expected) => {
    expect(await findings(steps(text))).toEqual([expect.stringMatching(expected)]);
  });

  test("whose pipelines include each other is refused", async () => {
    const through = (model: string, other: string) =>
      pipeline(model, `{ outputs: { y: a.y }, steps: [{ name: a, model: ${other} }] }`);
    expect(await findings(through("p", "q"), through("q", "p"))).toEqual([
      "deployments[0].pipeline.steps: expected models that do not include this pipeline, got a cycle: p includes q includes p",
    ]);
  });

  test("of a pipeline that includes an ensemble of itself never serves, and the one before stays", async () => {
    expect(await infer("ring", { IN: [3] }, 1)).toEqual({ OUT: [-3] });
    const others = declared.filter((deployment) => deployment !== circle);
    declare([...others, pipeline("circle", "{ outputs: { y: a.OUT }, steps: [{ name: a, model: ring }] }")]);
    const status = await awaitState("circle", State.FAILED);
    expect(status.message).toContain("The step a: The pipeline ring includes the pipeline circle.");
    expect(await infer("ring", { IN: [3] }, 1)).toEqual({ OUT: [-3] });
    declare(declared);
  }, 20_000);

  test("of a pipeline with what belongs to models is refused", async () => {
    const deployment = {
      ...steps("{ name: a, model: plus }"),
      instances: 2,
      batching: { maxBatchSize: 8 },
      responseCache: { maxBytes: 100 },
    };
    expect(await findings(deployment)).toEqual([
      expect.stringMatching(/deployments\[0\]\.batching: expected nothing beside a pipeline/),
      expect.stringMatching(/deployments\[0\]\.response_cache: expected nothing beside a pipeline/),
      expect.stringMatching(/deployments\[0\]\.instances: expected nothing beside a pipeline/),
    ]);
  });

  test.each([
    [
      "an input that its model lacks",
      "{ name: a, model: plus, inputs: { z: x } }",
      /steps\[0\]\.inputs\.z: expected one of the inputs of plus: x, got z/,
    ],
    [
      "an output that its model lacks",
      "{ name: a, model: plus, outputs: { z: x } }",
      /steps\[0\]\.outputs\.z: expected one of the outputs of plus: y, got z/,
    ],
    [
      "a tensor that its step lacks",
      "{ name: b, model: plus }, { name: a, model: plus, inputs: { x: b.z } }",
      /steps\[1\]\.inputs\.x: expected a tensor of the step b: b\.y, got b\.z/,
    ],
    [
      "tensors of other datatypes",
      "{ name: b, model: table }, { name: a, model: table, inputs: { x: b.y } }",
      /steps\[1\]\.inputs\.x: expected INT64 \[-1, 1\], got FP32 \[-1, 1\] \(b\.y of the step b\)/,
    ],
    [
      "inputs that two models read otherwise",
      "{ name: b, model: double }, { name: a, model: plus }",
      /steps\[1\]\.inputs\.x: expected FP32 \[-1, 2\], as another step reads x, got FP32 \[-1, 1\]/,
    ],
    [
      "routes to models of other tensors",
      "{ name: a, router: { tensor: x, routes: [{ equals: 1, model: plus }], otherwise: table } }",
      /router\.otherwise: expected a model that takes and gives what plus does, got table, with x as INT64 \[-1, 1\]/,
    ],
    [
      "texts for a tensor of numbers",
      "{ name: a, router: { tensor: x, routes: [{ equals: b, model: plus }] } }",
      /router\.tensor: expected a tensor of texts, got FP32 \[-1, 1\]/,
    ],
    [
      "a router by several elements a row",
      "{ name: a, router: { tensor: x, routes: [{ equals: 1, model: double }] } }",
      /router\.tensor: expected a tensor with one element a row, got FP32 \[-1, 2\]/,
    ],
    [
      "a step that nothing follows from",
      "{ name: a, model: plus }, { name: b, model: plus }",
      /steps\[1\]: expected a step that an output follows from, got b/,
    ],
    [
      "a cycle by default names",
      "{ name: a, model: plus, inputs: { x: t } }, { name: b, model: plus, inputs: { x: a.y }, outputs: { y: t } }",
      /got a cycle/,
    ],
  ])(
    "with %s never serves, and the status says why",
    async (what, text, expected) => {
      declare([...declared, steps(text)]);
      if (what === "a cycle by default names") {
        expect(await findings(steps(text))).toEqual([expect.stringMatching(expected)]);
        return;
      }
      const status = await awaitState("p", State.FAILED, expected);
      expect(status).toMatchObject({ reason: "DECLARATION_INVALID" });
    },
    20_000,
  );

  test("with an output that no step gives names it", async () => {
    declare([...declared, steps("{ name: a, model: plus }", "{ y: a.z }")]);
    await awaitState("p", State.FAILED, /pipeline\.outputs\.y: expected a tensor of a step: a\.y, got a\.z/);
    declare([...declared, steps("{ name: a, model: plus }")]);
    await awaitState("p", State.READY);
    expect(await infer("p", { x: [3] }, 1)).toEqual({ y: [3] });
  }, 20_000);
});
