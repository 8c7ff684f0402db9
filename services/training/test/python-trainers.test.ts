import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { JsonValue } from "@bufbuild/protobuf";
import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { type Run, RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { openModelStore } from "@millrace/model-package";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exampleSpec, freshFolder, writeExamples } from "./examples.fixture.ts";
import { TrainingProcess } from "./training-process.ts";

const trainers = fileURLToPath(new URL("../../../libs/trainer-python", import.meta.url));

/** The interpreter of an environment that has LightGBM and scikit-learn; undefined where it cannot be made. */
const interpreter = (): string | undefined => {
  try {
    return execFileSync("python3", [`${trainers}/scripts/environment.py`], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }).trim();
  } catch (error) {
    if (process.env.CI === "true") throw error;
    return undefined;
  }
};
const python = interpreter();
const fresh = await freshFolder();
const service = await TrainingProcess.create(fresh.folder, {
  "allow-command-trainer": "true",
  "trainer-folder": `${trainers}/examples`,
});

describe.skipIf(python === undefined)("a Python program in ten lines", { timeout: 180_000 }, () => {
  beforeAll(async () => {
    await writeExamples(fresh.folder);
    await service.start();
  });
  afterAll(async () => {
    await service.stop("SIGTERM");
    await fresh.remove();
  });

  const ended = async (program: string, changes: Readonly<Record<string, JsonValue>> = {}): Promise<Run> => {
    const trainer = { command: { argv: [python ?? "", program] } };
    const { id } = await service.startRun(exampleSpec({ ...changes, trainer }));
    const run = await service.watch(id);
    expect(run.error).toBeUndefined();
    return run;
  };

  const metric = (run: Run, name: string): number =>
    run.evaluation?.metrics.find((measured) => measured.name === name)?.value ?? Number.NaN;

  const manifestOf = async ({ packageReference }: Run) => {
    const store = await openModelStore(`oci:${fresh.folder}/models`);
    const { manifest } = await store.pull(packageReference, ["model", "baseline", "golden"]);
    await store.close();
    return manifest;
  };

  test("trains LightGBM, whose package reads raw features, nulls and unseen text included", async () => {
    const run = await ended("train_lightgbm.py");
    expect(run.state).toBe(RunState.SUCCEEDED);
    expect(run.epochs.map(({ epoch }) => epoch)).toEqual(expect.arrayContaining([1, 11, 21]));
    expect(metric(run, "ROC_AUC")).toBeGreaterThan(0.9);
    const manifest = await manifestOf(run);
    expect(manifest.lineage?.trainer).toMatch(/train_lightgbm\.py \(lightgbm 4\.7\.0\)$/);
    expect(manifest.signature?.inputs.map(({ name, datatype }) => [name, datatype])).toEqual([
      ["distance", "FP64"],
      ["hour", "INT64"],
      ["carrier", "BYTES"],
      ["weekend", "FP64"],
    ]);
  });

  test("trains scikit-learn, and a regression", async () => {
    const binary = await ended("train_scikit_learn.py");
    expect(metric(binary, "ROC_AUC")).toBeGreaterThan(0.85);
    expect(Object.keys(binary.reportedMetrics)).toEqual(["validation_score"]);
    const spec = exampleSpec().dataset;
    const dataset: JsonValue = {
      columns: spec?.columns ?? [],
      examples: {
        parquet: "examples.parquet",
        eventTime: "departed_at",
        label: "delay",
        weight: "distance / 1000",
        where: "distance IS NOT NULL",
      },
      split: { byHash: { of: "departed_at", validation: 0.2, test: 0.2 } },
    };
    const changes = { dataset, gates: [{ metric: "R2", atLeast: 0.8 }], evaluation: {} };
    const regression = await ended("train_lightgbm.py", changes);
    expect(regression.state).toBe(RunState.SUCCEEDED);
    expect((await manifestOf(regression)).task).toBe(Task.REGRESSION);
  });
});
