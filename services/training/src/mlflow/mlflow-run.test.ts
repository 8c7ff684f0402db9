import { create, fromJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { RunSchema, RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { describe, expect, test } from "vitest";
import { mlflowRun } from "./mlflow-run.ts";

const run = create(RunSchema, {
  id: "run-1",
  spec: fromJson(TrainingSpecSchema, {
    name: "delay",
    dataset: { columns: ["x".repeat(600), "hour"], examples: { parquet: "a.parquet", label: "delay > 15" } },
    trainer: { tfjs: { layers: [{ dense: 16 }], epochs: 2 } },
  }),
  state: RunState.REJECTED,
  createdAt: timestampFromMs(1000),
  startedAt: timestampFromMs(2000),
  endedAt: timestampFromMs(5000),
  epochs: [
    { epoch: 1, trainingLoss: 0.5, validationLoss: Number.NaN, seconds: 1, metrics: { "auc@5": 0.7 } },
    { epoch: 2, trainingLoss: 0.4, validationLoss: 0.6, seconds: 1 },
  ],
  evaluation: { metrics: [{ name: "ROC_AUC", value: 0.8, rows: 10n }] },
  packageReference: "delay@sha256:aa",
});

describe("a run as MLflow has it", () => {
  test("is found by its first tag, and a rejected one is finished", () => {
    const { tags, status, experiment, name, startMs, endMs } = mlflowRun(run);
    expect({ status, experiment, name, startMs, endMs }).toEqual({
      status: "FINISHED",
      experiment: "delay",
      name: "run-1",
      startMs: 2000,
      endMs: 5000,
    });
    expect(tags[0]).toEqual({ key: "millrace.run_id", value: "run-1" });
    expect(tags).toContainEqual({ key: "millrace.state", value: "rejected" });
    // What is empty is left out: MLflow would show it as a tag.
    expect(tags.some(({ value }) => value === "")).toBe(false);
  });

  test("has its spec's fields as parameters, under names and of lengths that MLflow takes", () => {
    const params = new Map(mlflowRun(run).params.map(({ key, value }) => [key, value]));
    expect(params.get("dataset.columns_1_")).toBe("hour");
    expect(params.get("dataset.columns_0_")).toHaveLength(500);
    expect(params.get("trainer.tfjs.layers_0_.dense")).toBe("16");
    for (const key of params.keys()) expect(key).toMatch(/^[A-Za-z0-9_\-./ ]{1,250}$/);
  });

  test("has its losses by epoch and the metrics of its test split, without what is not finite", () => {
    expect(mlflowRun(run).metrics.map(({ key, value, step }) => [key, value, step])).toEqual([
      ["training_loss", 0.5, 1],
      ["auc_5", 0.7, 1],
      ["training_loss", 0.4, 2],
      ["validation_loss", 0.6, 2],
      ["test_roc_auc", 0.8, 0],
    ]);
  });
});
