import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JsonValue } from "@bufbuild/protobuf";
import { Meaning } from "@millrace/contracts/millrace/model/v1/model_package";
import { RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { openModelStore } from "@millrace/model-package";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exampleSpec, freshFolder, writeExamples } from "./examples.fixture.ts";
import { TrainingProcess } from "./training-process.ts";

const fresh = await freshFolder();
const service = await TrainingProcess.create(fresh.folder, {
  "allow-command-trainer": "true",
  "trainer-folder": fileURLToPath(new URL(".", import.meta.url)),
});
const { watch, startRun, withClient } = service;

const command = (how: string, changes: Readonly<Record<string, JsonValue>> = {}) => ({
  trainer: {
    command: {
      argv: [process.execPath, "--conditions=@millrace/source", "trainer-program.ts", how],
      environment: { GREETING: "hello" },
      ...changes,
    },
  },
});

beforeAll(async () => {
  await writeExamples(fresh.folder);
  await service.start();
});
afterAll(async () => {
  await service.stop("SIGTERM");
  await fresh.remove();
});

const processesOf = (how: string): string[] =>
  execFileSync("ps", ["-eo", "args="], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(`trainer-program.ts ${how}`));

describe("a program that trains", () => {
  test("is judged by the platform alone, and its model is packaged as our own networks are", async () => {
    const { id } = await startRun(exampleSpec({ ...command("well"), name: "program" }));
    const run = await watch(id);
    expect(run.error).toBeUndefined();
    expect(run.state).toBe(RunState.SUCCEEDED);
    expect(run.log).toContain("learning program, hello");
    expect(
      run.epochs.map(({ epoch, trainingLoss, validationLoss, metrics }) => [
        epoch,
        trainingLoss,
        validationLoss,
        metrics.auc,
      ]),
    ).toEqual([
      [1, 1, 2, 0.5],
      [2, 0.5, 1, 0.5],
      [3, 1 / 3, 2 / 3, 0.5],
    ]);
    expect(readFileSync(join(fresh.folder, "runs", `${id}.log`), "utf8")).toContain("learning program, hello");
    // It says .999 of itself.
    expect(run.reportedMetrics).toEqual({ ROC_AUC: 0.999 });
    const measured = run.evaluation?.metrics.find(({ name }) => name === "ROC_AUC")?.value ?? 0;
    expect(measured).toBeGreaterThan(0.75);
    expect(measured).toBeLessThan(0.99);
    const store = await openModelStore(`oci:${fresh.folder}/models`);
    const { manifest } = await store.pull(run.packageReference, ["model", "baseline", "golden", "card"]);
    await store.close();
    expect(manifest.signature?.inputs).toMatchObject([{ name: "hour", datatype: "INT64", meaning: Meaning.NUMERIC }]);
    expect(manifest.signature?.outputs).toMatchObject([{ name: "late", meaning: Meaning.PROBABILITY }]);
    expect(manifest.lineage?.trainer).toMatch(/^command: .* trainer-program.ts well \(millrace\)$/);
    expect(manifest.calibration).toBeDefined();
  });

  test("gets no labels of the test split, and no variable that may hold a secret", async () => {
    const script = `
      const { DuckDBInstance } = require("@duckdb/node-api");
      (async () => {
        const connection = await (await DuckDBInstance.create(":memory:")).connect();
        for (const part of ["train", "validation", "test"]) {
          const rows = await connection.runAndReadAll("DESCRIBE SELECT * FROM '" + process.env.MILLRACE_DATASET + "/" + part + ".parquet'");
          console.log(part, rows.getRows().map(([name]) => name).join(" "));
        }
        const { features, ...rest } = JSON.parse(require("fs").readFileSync(process.env.MILLRACE_DATASET + "/dataset.json"));
        console.log(JSON.stringify(rest.task), JSON.stringify(features[2]));
        console.log("variables", Object.keys(process.env).filter((name) => !/^(PATH|HOME|USER|LANG|LC_|TZ|TMPDIR|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHONPATH|OMP_)/.test(name)).sort().join(" "));
      })();`;
    const { id } = await startRun(exampleSpec({ trainer: { command: { argv: [process.execPath, "-e", script] } } }));
    const run = await watch(id);
    expect(run.log).toEqual([
      "train distance hour carrier weekend event_time label",
      "validation distance hour carrier weekend event_time label",
      "test distance hour carrier weekend",
      '"BINARY" {"name":"carrier","type":"STRING","datatype":"BYTES","preparation":{"kind":"one-hot","categories":["AA","DL","UA","WN"]}}',
      "variables MILLRACE_CHECKPOINT MILLRACE_DATASET MILLRACE_OUTPUT MILLRACE_SPEC",
    ]);
    expect(run.error?.message).toBe("The trainer ended well and left no MILLRACE_OUTPUT/model.onnx.");
  });

  test.each([
    ["fail", "The trainer ended with exit code 3. Its last lines: learning delay, hello | no module named lightgbm"],
    ["nothing", "The trainer ended well and left no MILLRACE_OUTPUT/model.onnx."],
    ["broken", "expected an ONNX model, got The file is no ONNX model: it does not parse as one."],
    ["link", "expected a file, got a link or a folder."],
    ["bad-metrics", "expected an object of numbers, got [1]."],
    [
      "wrong-input",
      "expected inputs that are features by their names (distance, hour, carrier, weekend), got the input input.",
    ],
    [
      "wrong-datatype",
      "expected the input hour of INT64 or FP64 or FP32 and shape [rows, 1], got BYTES of shape [rows, 1].",
    ],
    [
      "wrong-shape",
      "expected the input hour of INT64 or FP64 or FP32 and shape [rows, 1], got INT64 of shape [rows, 2].",
    ],
    [
      "wrong-output",
      "expected a first output FP32 of shape [rows, 1], the probability of the label or the estimate, got label INT64",
    ],
    ["nan", "expected probabilities from 0 to 1, got NaN."],
    ["logits", "expected probabilities from 0 to 1, got "],
    ["depends", "expected the same answer for a row alone and among others, got "],
  ])("that does it wrong (%s) fails the run with a reason, and leaves no package", async (how, message) => {
    const { id } = await startRun(exampleSpec(command(how)));
    const run = await watch(id);
    expect(run.state).toBe(RunState.FAILED);
    expect(run.error).toMatchObject({ reason: "TRAINER_FAILED", message: expect.stringContaining(message) });
    expect(run.packageReference).toBe("");
  });

  test("that cannot be started, and one that takes too long, are named", async () => {
    const missing = await watch(
      (await startRun(exampleSpec({ trainer: { command: { argv: ["no-such-program"] } } }))).id,
    );
    expect(missing.error).toMatchObject({
      message: "The program no-such-program cannot be started: ENOENT.",
      field: "trainer.command.argv",
    });
    const late = await watch((await startRun(exampleSpec(command("hang", { timeout: "3s" })))).id);
    expect(late.error).toMatchObject({
      message: expect.stringContaining("The trainer did not end within 3 s and was stopped."),
      field: "trainer.command.timeout",
    });
    expect(processesOf("hang")).toEqual([]);
  });

  test("that leaves a process behind which holds its output open ends all the same", async () => {
    const script = `
      require("child_process").spawn("sleep", ["30"], { detached: true, stdio: "inherit" }).unref();
      console.log("left"); process.exit(4)`;
    const { id } = await startRun(exampleSpec({ trainer: { command: { argv: [process.execPath, "-e", script] } } }));
    const run = await watch(id);
    expect(run.error?.message).toBe("The trainer ended with exit code 4. Its last lines: left");
  });

  test("is stopped with its run when that is cancelled", async () => {
    const { id } = await startRun(exampleSpec(command("hang")));
    await watch(id, ({ log }) => log.length > 0);
    expect(processesOf("hang")).toHaveLength(1);
    await withClient((client) => client.cancelRun({ id }));
    expect(processesOf("hang")).toEqual([]);
  });

  test("is started anew after the service was killed, once its first process is gone, with its own checkpoints", async () => {
    const { id } = await startRun(exampleSpec(command("slow")));
    await watch(id, ({ epochs }) => epochs.length === 3);
    await service.stop("SIGKILL");
    await service.start();
    const run = await watch(id);
    expect(run).toMatchObject({ state: RunState.SUCCEEDED, resumes: 1 });
    expect(processesOf("slow")).toEqual([]);
    expect(readdirSync(join(fresh.folder, "runs"))).not.toContain(id);
  });
});

test("a search gives a program its parameters, and fails where every trial does", async () => {
  const search = { grid: { over: { depth: { values: [1, 2] } } } };
  const tell = ["-e", "console.log(process.env.MILLRACE_PARAMETERS); process.exit(1)"];
  const { id } = await startRun(exampleSpec({ trainer: { command: { argv: [process.execPath, ...tell] } }, search }));
  const run = await watch(id);
  expect(run.trials).toMatchObject([
    { number: 1, parameters: { depth: 1 }, error: expect.stringContaining('{"depth":1}'), chosen: false },
    { number: 2, parameters: { depth: 2 }, error: expect.stringContaining('{"depth":2}'), chosen: false },
  ]);
  expect(run.error?.message).toContain("Each of the 2 trials failed. The last: The trainer ended with exit code 1.");
  expect(readFileSync(join(fresh.folder, "runs", `${id}.trial-2.log`), "utf8")).toBe('{"depth":2}\n');
  const two = await watch((await startRun(exampleSpec({ ...command("well"), search, name: "two" }))).id);
  expect(two.trials.map(({ chosen }) => chosen)).toEqual([true, false]);
  expect(two.state).toBe(RunState.SUCCEEDED);
});

test("a spec of a program is checked before it runs", async () => {
  const spec = exampleSpec(command("well", { timeout: "soon", environment: { MILLRACE_OUTPUT: "/", "a b": "" } }));
  spec.dataset?.columns.push("label");
  await expect(startRun(spec)).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    violations: [
      { field: "spec.trainer.command.timeout" },
      { field: "spec.trainer.command.environment[MILLRACE_OUTPUT]" },
      { field: "spec.trainer.command.environment[a b]" },
      { field: "spec.dataset.columns", got: "label" },
    ],
  });
});
