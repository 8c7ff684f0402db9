import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { EvaluationSchema, Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { type TrainingSpec, TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { type ModelPackageReader, openModelStore } from "@millrace/model-package";
import type { Datatype } from "@millrace/tensor";
import { OnnxSession } from "@millrace/tensor/onnxruntime";
import { missingNativePart } from "@millrace/tensor/tensorflow";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exampleSpec, freshFolder, writeExamples } from "../../test/examples.fixture.ts";
import { runPipeline } from "./run-pipeline.ts";
import type { RunReport } from "./run-report.ts";

const fresh = await freshFolder();
const modelStoreUrl = `oci:${fresh.folder}/models`;

beforeAll(() => writeExamples(fresh.folder));
afterAll(() => fresh.remove());

type Packaged = RunReport & { kind: "packaged" };

/** Runs a spec in a folder of this name; `stopAfterEpoch` aborts it then. */
const run = async (
  name: string,
  spec: TrainingSpec,
  stopAfterEpoch?: number,
): Promise<{ packaged: Packaged; reports: RunReport[] }> => {
  const runFolder = join(fresh.folder, name);
  await mkdir(runFolder, { recursive: true });
  const abort = new AbortController();
  const reports: RunReport[] = [];
  const order = {
    spec: toBinary(TrainingSpecSchema, spec),
    codeRevision: "abc",
    runFolder,
    location: { dataRoot: fresh.folder },
    modelStoreUrl,
    trainerFolder: fresh.folder,
    logFile: `${runFolder}.log`,
  };
  await runPipeline(
    order,
    (report) => {
      reports.push(report);
      if (report.kind === "epoch" && report.epoch.epoch === stopAfterEpoch) {
        abort.abort(new Error("stopped"));
      }
    },
    abort.signal,
  );
  return { packaged: reports.find((report) => report.kind === "packaged") as Packaged, reports };
};

const pull = async (packaged: Packaged): Promise<ModelPackageReader> => {
  const store = await openModelStore(modelStoreUrl);
  const reader = await store.pull(packaged.reference, ["model", "baseline", "golden", "card"]);
  await store.close();
  return reader;
};

const metricOf = (packaged: Packaged, name: string): number =>
  fromBinary(EvaluationSchema, packaged.evaluation).metrics.find((metric) => metric.name === name)?.value ?? Number.NaN;

describe.each(missingNativePart() === undefined ? ["WASM", "NATIVE_CPU"] : ["WASM"])("a run on %s", (backend) => {
  test("leaves a package that answers its golden examples, and says what it read, how good it is and where it comes from", async () => {
    const { packaged } = await run(`first-${backend}`, exampleSpec({}, { backend }));
    expect(packaged.tags).toEqual(["candidate"]);
    const reader = await pull(packaged);
    const { manifest } = reader;
    expect(manifest.task).toBe(Task.BINARY);
    expect(manifest.signature?.inputs.map(({ name, datatype }) => [name, datatype])).toEqual([
      ["distance", "FP64"],
      ["hour", "INT64"],
      ["carrier", "BYTES"],
      ["weekend", "FP64"],
    ]);
    expect(manifest.signature?.outputs).toMatchObject([{ name: "probability", datatype: "FP32", shape: [-1n, 1n] }]);
    expect(manifest.lineage).toMatchObject({ seed: 7n, codeRevision: "abc", specName: "delay" });
    expect(manifest.evaluation?.gates).toMatchObject([{ metric: "ROC_AUC", passed: true }]);
    expect(manifest.evaluation?.slices.map(({ value }) => value)).toEqual(["AA", "DL", "UA", "WN"]);
    expect(metricOf(packaged, "ROC_AUC")).toBeGreaterThan(0.85);
    expect(manifest.calibration?.scores.length).toBeGreaterThan(1);
    expect((await reader.baseline())?.days.length).toBe(10);
    expect(await reader.card()).toContain("| ROC_AUC |");

    const session = await OnnxSession.create(await reader.model());
    const [example] = (await reader.golden())?.examples ?? [];
    const [answer] = await session.run(
      (example?.inputs ?? []).map(({ name, datatype, shape, data }) => ({
        name,
        datatype: datatype as Datatype,
        shape: shape.map(Number),
        data,
      })),
    );
    await session.close();
    const numbers = (data: Uint8Array | undefined): Float32Array =>
      new Float32Array(Uint8Array.from(data ?? []).buffer);
    expect(numbers(answer?.data)).toEqual(numbers(example?.outputs[0]?.data));
    expect(numbers(answer?.data).length).toBeGreaterThan(16);
  });

  test("gives the same digest again, and another one for another seed", async () => {
    const digests = [];
    for (const seed of ["7", "7", "8"]) {
      const { packaged } = await run(
        `again-${backend}-${digests.length}`,
        exampleSpec({ seed }, { backend, epochs: 2 }),
      );
      digests.push(packaged.digest);
    }
    expect(digests[1]).toBe(digests[0]);
    expect(digests[2]).not.toBe(digests[0]);
  });

  test("that was stopped goes on from its checkpoint, and ends with the digest of one that was not", async () => {
    const spec = exampleSpec({}, { backend, earlyStopping: { patience: 2 } });
    const undisturbed = await run(`undisturbed-${backend}`, spec);
    await expect(run(`stopped-${backend}`, spec, 2)).rejects.toThrow("stopped");
    const resumed = await run(`stopped-${backend}`, spec);
    expect(resumed.reports.filter(({ kind }) => kind === "epoch").length).toBeLessThan(
      undisturbed.reports.filter(({ kind }) => kind === "epoch").length,
    );
    expect(resumed.packaged.digest).toBe(undisturbed.packaged.digest);
  });
});

describe("a run", () => {
  test("of a regression answers in the label's own unit", async () => {
    const spec = exampleSpec(
      { gates: [{ metric: "R2", atLeast: 0.5 }], output: { repository: "minutes" } },
      { epochs: 8 },
    );
    if (spec.dataset?.examples !== undefined) {
      spec.dataset.examples.label = "delay";
    }
    const { packaged } = await run("regression", spec);
    expect(packaged.tags).toEqual(["candidate"]);
    expect((await pull(packaged)).manifest.signature?.outputs).toMatchObject([{ name: "estimate" }]);
  });

  test("whose gate is not passed leaves a package that is tagged `rejected`, with the reason", async () => {
    const { packaged } = await run(
      "rejected",
      exampleSpec({ gates: [{ metric: "ROC_AUC", atLeast: 0.9999 }] }, { epochs: 1 }),
    );
    expect(packaged.tags).toEqual(["rejected"]);
    expect(packaged.rejectedBecause).toMatch(/^ROC_AUC at least 0.9999: it is 0\.\d+\.$/);
    expect(await (await pull(packaged)).card()).toContain("**Rejected:** ROC_AUC at least 0.9999");
  });

  test("is compared with the champion on the same rows: itself is not worse, by nothing at all", async () => {
    const evaluation = { champion: "delay@candidate", bootstrap: { blockBy: "6h", resamples: 20 } };
    await run("champion", exampleSpec({}, { epochs: 2 }));
    const gates = [{ metric: "LOG_LOSS", notWorseThanChampionBy: 0 }];
    const { packaged } = await run("challenger", exampleSpec({ evaluation, gates }, { epochs: 2 }));
    expect(fromBinary(EvaluationSchema, packaged.evaluation).gates).toMatchObject([{ value: 0, passed: true }]);
    const none = { ...evaluation, champion: "delay@production" };
    const first = await run("first-of-all", exampleSpec({ evaluation: none, gates }, { epochs: 1 }));
    expect(fromBinary(EvaluationSchema, first.packaged.evaluation).gates[0]?.rule).toContain(
      "there is no champion yet",
    );
  });

  test.each([
    [
      "an empty split",
      { where: "departed_at < timestamp '2001-01-05'" },
      "expected rows in the validation split, got none of 2400",
    ],
    [
      "labels of one class",
      { label: "delay > 100000" },
      "expected labels of both classes in the training split, got only 0",
    ],
    [
      "null labels",
      { label: "CASE WHEN distance > 500 THEN delay > 45 END" },
      "expected a value in every row, got null",
    ],
    ["no rows", { where: "distance < 0" }, "expected rows, got none"],
  ])("over %s fails and names the field", async (name, changes, message) => {
    const spec = exampleSpec();
    Object.assign(spec.dataset?.examples ?? {}, changes);
    await expect(run(name, spec)).rejects.toThrow(message);
  });
});
