import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { openModelStore } from "@millrace/model-package";
import { seededRandom } from "@millrace/stats";
import { bytesOf } from "@millrace/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { shapleyByDefinition } from "../src/explanation/shapley-values.reference.ts";
import { explainedPackage, interactingModel, linearModel, mixedModel } from "./explain-models.ts";
import { tensor, texts, wholes } from "./explain-tensors.ts";
import { type FeatureServer, startFeatureServer } from "./feature-server.ts";
import { identityModel, slowModel } from "./models.ts";
import { affineModel } from "./pipeline-models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floats } from "./tensors.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
console.log(`MILLRACE_SEED=${seed}`);
const random = seededRandom(seed);

const folder = mkdtempSync(join(tmpdir(), "millrace-explain-"));
const models = join(folder, "models");
const weights = [0.5, -2, 0, 3.25];
let features: FeatureServer;
let service: RunningInference;

beforeAll(async () => {
  mkdirSync(models);
  const put = (name: string, bytes: Uint8Array) => writeFileSync(join(models, `${name}.onnx`), bytes);
  put("linear", linearModel(weights, 1.5));
  put("interacting", interactingModel(9));
  put("mixed", mixedModel());
  put("wide", identityModel("FP32", 4));
  put("shift", affineModel(2, 1, 4));
  put("slow", slowModel(20));
  const store = await openModelStore(`oci:${join(folder, "store")}`);
  const few = await store.push("explained", explainedPackage(4));
  const calibrated = await store.push("explained", explainedPackage(40, true));
  const many = await store.push("explained", explainedPackage(40));
  await store.close();
  const layouts = await openModelStore(`oci:${models}`);
  await layouts.push("layout", explainedPackage(40), ["1"]);
  await layouts.close();
  writeFileSync(
    join(folder, "deployments.yaml"),
    `
deployments:
  - { model: few, versions: [{ version: 1, package: "explained@${few.digest}" }] }
  - { model: many, versions: [{ version: 3, package: "explained@${many.digest}" }] }
  - { model: calibrated, versions: [{ version: 1, package: "explained@${calibrated.digest}" }] }
  - model: levels
    versions: [{ version: 1, package: "explained@${many.digest}" }]
    batching: { priorityLevels: 3, defaultPriorityLevel: 1, priorityQueuePolicies: { 3: { defaultTimeout: 1us } } }
  - model: shifted
    pipeline:
      outputs: { score: last.score }
      steps: [{ name: first, model: shift }, { name: last, model: linear, inputs: { x: first.y } }]
`,
  );
  features = await startFeatureServer();
  service = await startInference([
    ...["--models", models, "--deployments-file", join(folder, "deployments.yaml")],
    ...["--model-store-url", `oci:${join(folder, "store")}`, "--feature-serving-address", features.address],
    ...["--explain-max-evaluations", "50000"],
  ]);
  for await (const { deployments } of service.deployments.watchStatus({}, { timeoutMs: 20_000 })) {
    const states = deployments.flatMap(({ versions }) => versions.map(({ state }) => state));
    if (states.every((state) => state === State.READY)) break;
  }
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  await features.close();
  rmSync(folder, { recursive: true });
});

const rowsOf = (...tensors: readonly object[]) => ({ case: "tensors" as const, value: { tensors: [...tensors] } });
/** Eighths: sums of them are exact in FP32. */
const eighths = (count: number) => Array.from({ length: count }, () => Math.round(random() * 64 - 32) / 8);

const byName = (row: { contributions: readonly { name: string; value: number }[] } | undefined) =>
  Object.fromEntries(row?.contributions.map(({ name, value }) => [name, value]) ?? []);

describe("an explanation", () => {
  test("of a linear model is exact: weight times the difference from the background's mean", async () => {
    const x = eighths(8);
    const background = eighths(20);
    // What rounding remains is that of FP32 sums: eighths and these weights have none.
    for (const model of ["linear", "shifted"]) {
      const scale = model === "linear" ? 1 : 2;
      const { rows, evaluations } = await service.predictions.explain({
        model,
        subject: rowsOf(tensor("x", x, 2)),
        background: { tensors: [tensor("x", background, 5)] },
      });
      expect(rows).toHaveLength(2);
      for (const [row, explanation] of rows.entries()) {
        const contributions = byName(explanation);
        for (const [column, weight] of weights.entries()) {
          let mean = 0;
          for (let other = 0; other < 5; other++) mean += (background[other * 4 + column] ?? 0) / 5;
          const expected = scale * weight * ((x[row * 4 + column] ?? 0) - mean);
          expect(Math.abs((contributions[`x[${column}]`] ?? Number.NaN) - expected)).toBeLessThan(1e-6);
        }
        const sum = explanation.contributions.reduce((total, { value }) => total + value, explanation.base);
        expect(Math.abs(sum - explanation.output)).toBeLessThan(1e-9);
        for (const { standardError } of explanation.contributions) expect(standardError).toBeLessThan(1e-6);
        const sizes = explanation.contributions.map(({ value }) => Math.abs(value));
        expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
      }
      expect(evaluations).toBeLessThanOrEqual(2n * 5n * 14n + 7n);
    }
  });

  test("of inputs of several kinds names each, and is the definition's, by calls of the model itself", async () => {
    const subject = [tensor("a", [3], 1), tensor("b", [4], 1), texts("city", ["NL"]), wholes("count", [5n])];
    const background = [
      tensor("a", [1, -1], 2),
      tensor("b", [2, 0.5], 2),
      texts("city", ["BE", "nowhere"]),
      wholes("count", [5n, 6n]),
    ];
    const { rows } = await service.predictions.explain({
      model: "mixed",
      subject: rowsOf(...subject),
      background: { tensors: background },
    });
    const level: Record<string, number> = { NL: 10, BE: 20 };
    const games = [
      { a: 1, b: 2, city: "BE" },
      { a: -1, b: 0.5, city: "nowhere" },
    ].map((other) =>
      shapleyByDefinition(3, (known) => {
        const a = known.has(0) ? 3 : other.a;
        const b = known.has(1) ? 4 : other.b;
        return a * b + (level[known.has(2) ? "NL" : other.city] ?? 0);
      }),
    );
    const contributions = byName(rows[0]);
    for (const [unit, name] of ["a", "b", "city"].entries()) {
      expect(contributions[name]).toBeCloseTo(((games[0]?.[unit] ?? 0) + (games[1]?.[unit] ?? 0)) / 2, 5);
    }
    expect(contributions.count).toBe(0);
    expect(rows[0]).toMatchObject({ output: 22, base: (22 - 0.5) / 2 });
  });

  test("of another element explains that", async () => {
    const row = [tensor("a", [3], 1), tensor("b", [4], 1), texts("city", ["NL"]), wholes("count", [5n])];
    const background = [tensor("a", [1], 1), tensor("b", [2], 1), texts("city", ["BE"]), wholes("count", [6n])];
    const ask = { model: "mixed", subject: rowsOf(...row), background: { tensors: background } };
    const { rows } = await service.predictions.explain({ ...ask, element: 1 });
    expect(rows[0]).toMatchObject({ base: 1, output: 3, contributions: [{ name: "a", value: 2 }, {}, {}, {}] });
    const counted = await service.predictions.explain({ ...ask, output: "counted" });
    expect(byName(counted.rows[0])).toEqual({ a: 0, b: 0, city: 0, count: -1 });
  });

  test("of many interacting elements is within its standard error of all their subsets, and repeats by its seed", async () => {
    const x = eighths(9);
    // A sixteenth aside, so that no element is equal: each walk is of all nine.
    const background = eighths(18).map((value) => value + 1 / 16);
    const ask = (own: bigint) =>
      service.predictions.explain({
        model: "interacting",
        subject: rowsOf(tensor("x", x, 1)),
        background: { tensors: [tensor("x", background, 2)] },
        permutations: 24,
        seed: own,
      });
    const { rows, evaluations } = await ask(BigInt(seed) + 1n);
    expect(evaluations).toBe(2n * 48n * 8n + 3n);
    const values: Float64Array[] = [];
    for (let other = 0; other < 2; other++) {
      const mixed = Array.from({ length: 512 }, (_, subset) =>
        x.map((value, unit) => ((subset >> unit) & 1 ? value : (background[other * 9 + unit] ?? 0))),
      );
      const answers: number[] = [];
      for (let first = 0; first < 512; first += 128) {
        const part = mixed.slice(first, first + 128).flat();
        answers.push(
          ...floats(
            await service.oip.modelInfer({
              modelName: "interacting",
              inputs: [{ name: "x", datatype: "FP32", shape: [128n, 9n] }],
              rawInputContents: [bytesOf(Float32Array.from(part))],
            }),
          ),
        );
      }
      values.push(Float64Array.from(answers));
    }
    const contributions = new Map(rows[0]?.contributions.map((one) => [one.name, one]));
    for (let unit = 0; unit < 9; unit++) {
      let expected = 0;
      for (const game of values) {
        for (let subset = 0; subset < 512; subset++) {
          if ((subset >> unit) & 1) continue;
          const size = subset.toString(2).replaceAll("0", "").length;
          const weight = (factorial(size) * factorial(8 - size)) / factorial(9);
          expected += (weight * ((game[subset | (1 << unit)] ?? 0) - (game[subset] ?? 0))) / 2;
        }
      }
      const got = contributions.get(`x[${unit}]`);
      // Student's t of 23 degrees of freedom is above 6 in four of a million units.
      expect(Math.abs((got?.value ?? 0) - expected)).toBeLessThan(6 * (got?.standardError ?? 0) + 1e-5);
    }
    expect((await ask(BigInt(seed) + 1n)).rows).toEqual(rows);
    expect((await ask(BigInt(seed) + 2n)).rows).not.toEqual(rows);
  }, 30_000);
});

const factorial = (number: number): number => (number <= 1 ? 1 : number * factorial(number - 1));

describe("without background rows", () => {
  const row = (delay: number, city: string) => rowsOf(tensor("delay", [delay], 1), texts("city", [city]));

  test("those of the package's golden examples are taken, where there are enough", async () => {
    const answer = await service.predictions.explain({ model: "many", subject: row(17, "BE") });
    expect(answer).toMatchObject({ modelVersion: "3", rows: [{ base: 107, output: 17 }] });
    expect(byName(answer.rows[0])).toEqual({ airport__delay: 10, airport__name: -100 });
    expect(answer.packageDigest).toMatch(/^sha256:/);
  });

  test("also where the package is an OCI layout in the folder of models", async () => {
    const { rows } = await service.predictions.explain({ model: "layout", subject: row(17, "BE") });
    expect(rows).toMatchObject([{ base: 107, output: 17 }]);
  });

  test("else rows are drawn from the profiles of its baseline, column by column, nulls among them", async () => {
    const rows = 800;
    const answer = await service.predictions.explain({
      model: "few",
      subject: row(20, "NL"),
      backgroundRows: rows,
      seed: BigInt(seed) + 1n,
    });
    const { base = 0, output, contributions = [] } = answer.rows[0] ?? {};
    expect(output).toBe(120);
    // Delay: 10, 20, 0 and 0 alike; mean 7.5, deviation 8.3. City: 75 in the mean, deviation 43.3. Six standard errors.
    const means = byName({ contributions });
    expect(Math.abs((means.airport__delay ?? 0) - 12.5)).toBeLessThan((6 * 8.3) / Math.sqrt(rows));
    expect(Math.abs((means.airport__name ?? 0) - 25)).toBeLessThan((6 * 43.3) / Math.sqrt(rows));
    expect(Math.abs(base - 82.5)).toBeLessThan((6 * 44) / Math.sqrt(rows));
    const again = await service.predictions.explain({
      model: "few",
      subject: row(20, "NL"),
      backgroundRows: rows,
      seed: BigInt(seed) + 1n,
    });
    expect(again.rows).toEqual(answer.rows);
  });

  test("a model of no package is refused", async () => {
    await expect(
      service.predictions.explain({ model: "linear", subject: rowsOf(tensor("x", [1, 2, 3, 4], 1)) }),
    ).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("There is no background for the model linear: it is of no package."),
    });
  });
});

describe("entities", () => {
  const airports = (values: string[]) => ({
    case: "entities" as const,
    value: { entities: [{ name: "airport", values: { values: { case: "strings" as const, value: { values } } } }] },
  });

  test("are explained by the features that are served for them, under their names", async () => {
    const { rows } = await service.predictions.explain({ model: "many", subject: airports(["ATL", "DALLAS"]) });
    expect(rows.map(({ base, output }) => [base, output])).toEqual([
      [107, 30],
      [107, 60],
    ]);
    expect(rows.map(byName)).toEqual([
      { airport__delay: 23, airport__name: -100 },
      { airport__delay: 53, airport__name: -100 },
    ]);
  });

  test("are explained by the probability that Predict answers, tensors by what the graph gives", async () => {
    const ask = { entities: airports(["ATL"]).value.entities };
    const { outputs } = await service.predictions.predict({ model: "calibrated", ...ask });
    const predicted = new Float32Array(outputs[0]?.data.slice().buffer ?? new ArrayBuffer())[0];
    expect(predicted).toBeCloseTo(0.15, 6);
    const { rows } = await service.predictions.explain({ model: "calibrated", subject: airports(["ATL"]) });
    expect(rows[0]?.output).toBe(predicted);
    expect(rows[0]?.base).toBeCloseTo(107 / 200, 6);
    expect(byName(rows[0]).airport__delay).toBeCloseTo(23 / 200, 6);
    const row = rowsOf(tensor("delay", [30], 1), texts("city", ["ATL"]));
    const raw = await service.predictions.explain({ model: "calibrated", subject: row });
    expect(raw.rows[0]).toMatchObject({ base: 107, output: 30 });
  });

  test("without features are explained as they are predicted: nulls go into the graph", async () => {
    const { rows } = await service.predictions.explain({ model: "many", subject: airports([""]) });
    expect(rows[0]).toMatchObject({ base: 107, output: 0 });
    expect(byName(rows[0])).toEqual({ airport__delay: -7, airport__name: -100 });
  });

  test("are explained by `millrace explain` as a table", async () => {
    const cli = new URL("../../../tools/cli/bin/millrace.js", import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        "--conditions=@millrace/source",
        cli,
        "explain",
        "many",
        "--entity",
        "airport=ATL",
        "--address",
        service.address,
      ],
      { env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined } },
    );
    expect(stdout.split("\n")).toEqual([
      "what            contribution  standard error",
      "(base)          +107.0",
      "airport__name   -100.0        0.0",
      "airport__delay  +23.00        0.0",
      "(output)        +30.00",
      expect.stringMatching(/^version 3 {2}package sha256:[0-9a-f]{64} {2}97 rows were run$/),
      "",
    ]);
  });

  test("of a model that reads no features are refused", async () => {
    await expect(
      service.predictions.explain({
        model: "linear",
        subject: airports(["ATL"]),
        background: { tensors: [tensor("x", [0, 0, 0, 0], 1)] },
      }),
    ).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "FEATURES_UNAVAILABLE" });
  });
});

describe("a request to explain is refused", () => {
  const background = { tensors: [tensor("x", [0, 0, 0, 0], 1)] };
  const subject = rowsOf(tensor("x", [1, 2, 3, 4], 1));
  const mixed = rowsOf(tensor("a", [3], 1), tensor("b", [4], 1), texts("city", ["NL"]), wholes("count", [5n]));

  test.each([
    [
      "for an output of texts",
      { model: "mixed", subject: mixed, output: "place" },
      /output: expected an output of numbers, .* got place, which is BYTES/,
    ],
    [
      "for an output that is not there",
      { model: "linear", subject, output: "y" },
      /output: expected one of the model's outputs: score, got y/,
    ],
    ["for an element that is not there", { model: "linear", subject, element: 1 }, /element: expected below 1/],
    [
      "for a tensor that does not fit",
      { model: "linear", subject: rowsOf(tensor("x", [1, 2, 3], 1)) },
      /x\.shape: expected \[-1, 4\], got \[1, 3\]/,
    ],
    [
      "for no rows",
      { model: "linear", subject: rowsOf({ name: "x", datatype: "FP32", shape: [0n, 4n], data: new Uint8Array() }) },
      /tensors: expected at least one row, got none/,
    ],
    ["for no subject", { model: "linear" }, /subject/],
    [
      "with a background that does not fit",
      { model: "linear", subject, background: { tensors: [tensor("x", [1, 2], 1)] } },
      /x\.shape: expected \[-1, 4\], got \[1, 2\]/,
    ],
    [
      "with more work than the service allows",
      {
        model: "interacting",
        subject: rowsOf(tensor("x", new Array(900).fill(1), 100)),
        background: { tensors: [tensor("x", new Array(900).fill(0), 100)] },
      },
      /permutations: expected at most 50000 runs of the model, counted in rows, got up to 2560200: 100 rows, 100 rows of background, 16 permutations, 9 elements a row/,
    ],
  ])("%s", async (_, ask, message) => {
    await expect(service.predictions.explain({ background, ...ask } as never)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(message),
    });
  });

  test("for a model that is not there", async () => {
    await expect(service.predictions.explain({ model: "gone", subject, background })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });
});

test("an explanation runs at the lowest level of priority", async () => {
  const row = [tensor("delay", [1], 1), texts("city", ["NL"])];
  const direct = await service.oip.modelInfer({
    modelName: "levels",
    inputs: row.map(({ data: _, ...spec }) => spec),
    rawInputContents: row.map(({ data }) => data),
  });
  expect(floats(direct)).toEqual([101]);
  // Level 3 of this deployment lets nothing wait: whatever goes there says so.
  await expect(service.predictions.explain({ model: "levels", subject: rowsOf(...row) })).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringContaining("longer than its policy allows"),
  });
});

test("an explanation whose caller is gone runs the model no more", async () => {
  const runs = async () => (await service.oip.modelStatistics({ name: "slow" })).modelStats[0]?.executionCount ?? 0n;
  const one = (values: readonly number[]) => ({
    name: "x",
    datatype: "FP32",
    shape: [BigInt(values.length)],
    data: bytesOf(Float32Array.from(values)),
  });
  const before = await runs();
  const rows = Array.from({ length: 500 }, (_, row) => row);
  const call = service.predictions.explain(
    { model: "slow", subject: rowsOf(one(rows)), background: { tensors: [one([0])] } },
    { timeoutMs: 300 },
  );
  // A run that would end after the deadline may be refused before it.
  await expect(call).rejects.toMatchObject({ code: expect.stringMatching(/^(DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED)$/) });
  // What is under way when the caller goes ends; a further call goes behind it.
  await service.oip.modelInfer({
    modelName: "slow",
    inputs: [{ name: "x", datatype: "FP32", shape: [1n] }],
    rawInputContents: [bytesOf(Float32Array.of(1))],
  });
  const after = await runs();
  expect(after - before).toBeLessThan(500n);
  await service.oip.modelInfer({
    modelName: "slow",
    inputs: [{ name: "x", datatype: "FP32", shape: [1n] }],
    rawInputContents: [bytesOf(Float32Array.of(1))],
  });
  expect((await runs()) - after).toBe(1n);
}, 30_000);
