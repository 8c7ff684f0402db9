import { execFileSync } from "node:child_process";
import { type Run, RunPhase, RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { openModelStore } from "@millrace/model-package";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exampleSpec, freshFolder, writeExamples } from "./examples.fixture.ts";
import { TrainingProcess } from "./training-process.ts";

const fresh = await freshFolder();
const service = await TrainingProcess.create(fresh.folder);
const { watch, startRun: start, withClient } = service;

const long = exampleSpec({ name: "long" }, { epochs: 12 });

beforeAll(async () => {
  await writeExamples(fresh.folder);
  await service.start();
});
afterAll(async () => {
  await service.stop("SIGTERM");
  await fresh.remove();
});

describe("a run that is started over gRPC", () => {
  test("is watched to its package, and is listed and compared", async () => {
    const started = await start();
    expect(started).toMatchObject({ state: RunState.QUEUED, requestedBy: "test" });
    const phases = new Set<RunPhase>();
    const run = await watch(started.id, ({ phase }) => {
      phases.add(phase);
      return false;
    });
    expect(run.error).toBeUndefined();
    expect(run.state).toBe(RunState.SUCCEEDED);
    expect(run.packageReference).toBe(`delay@${run.packageDigest}`);
    expect(run.packageTags).toEqual(["candidate"]);
    expect(run.epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4]);
    expect(run.backend).toBe("tfjs-wasm 4.22.0: it was asked for");
    expect(Number(run.trainingRows)).toBeGreaterThan(3500);
    expect([...phases]).toEqual(expect.arrayContaining([RunPhase.TRAINING, RunPhase.EVALUATING, RunPhase.PACKAGING]));
    await withClient(async (client) => {
      expect((await client.listRuns({ name: "delay" })).runs.map(({ id }) => id)).toEqual([started.id]);
      expect((await client.listRuns({ name: "none" })).runs).toEqual([]);
      const { runs } = await client.compareRuns({ ids: [started.id, started.id] });
      expect(runs.map(({ evaluation }) => evaluation?.metrics.length)).toEqual([9, 9]);
      const { content, mediaType } = await client.getRunReport({ ids: [started.id] });
      expect(mediaType).toBe("text/html; charset=utf-8");
      expect(content).toContain("<h1>delay: succeeded</h1>");
      expect(content).toContain(run.packageDigest);
      // Loss, calibration and importance, drawn within the page; nothing is loaded by it.
      expect(content.match(/<svg /g)).toHaveLength(3);
      expect(content).not.toMatch(/<script|<link|<img|https?:(?!\/\/www\.w3\.org\/)/);
      expect(content).toMatch(/Slices, the worst ROC_AUC first[\s\S]*carrier AA/);
    });
    expect(await service.metrics()).toContain('millrace_training_runs_total{state="succeeded"} 1');
  });

  test("is one run for one idempotency key", async () => {
    const spec = exampleSpec({}, { epochs: 1 });
    const [first, second] = await Promise.all([start(spec, "key"), start(spec, "key")]);
    expect(second.id).toBe(first.id);
    const other = await start(exampleSpec({ seed: "8" }, { epochs: 1 }), "another key");
    expect(other.id).not.toBe(first.id);
    await watch(first.id);
    await withClient(async (client) => {
      const { content } = await client.getRunReport({ ids: [first.id, other.id] });
      expect(content).toContain("<h1>Training runs compared</h1>");
      expect(content).toMatch(
        /Where the specs differ[\s\S]*<td>seed<\/td><td class="text">7<\/td><td class="text">8<\/td>/,
      );
      await expect(client.getRunReport({ ids: ["none"] })).rejects.toMatchObject({ reason: "RUN_UNKNOWN" });
      await expect(client.getRunReport({ ids: [] })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    });
  });

  test("is cancelled while it trains, and cannot be cancelled twice", async () => {
    const { id } = await start(long);
    await watch(id, ({ epochs }) => epochs.length > 0);
    await withClient(async (client) => {
      const { run } = await client.cancelRun({ id });
      expect(run?.state).toBe(RunState.CANCELLED);
      await expect(client.cancelRun({ id })).rejects.toMatchObject({
        code: "FAILED_PRECONDITION",
        reason: "RUN_FINISHED",
      });
      await expect(client.getRun({ id: "none" })).rejects.toMatchObject({ code: "NOT_FOUND", reason: "RUN_UNKNOWN" });
    });
  });
});

describe("a service that is gone in the middle of a run", () => {
  test.each(["SIGKILL", "SIGTERM"] as const)(
    "by %s takes it up again, and ends with the digest of an undisturbed run",
    async (signal) => {
      const undisturbed = await watch((await start(long)).id);
      expect(undisturbed.state).toBe(RunState.SUCCEEDED);
      const { id } = await start(long);
      await watch(id, ({ epochs }) => epochs.length >= 3);
      expect(await service.stop(signal)).toBe(signal === "SIGTERM" ? 0 : null);
      await service.start();
      const resumed = await watch(id);
      expect(resumed.state).toBe(RunState.SUCCEEDED);
      expect(resumed.resumes).toBe(1);
      expect(resumed.packageDigest).toBe(undisturbed.packageDigest);
      expect(resumed.epochs.map(({ trainingLoss }) => trainingLoss)).toEqual(
        undisturbed.epochs.map(({ trainingLoss }) => trainingLoss),
      );
    },
  );
});

describe("a run whose process is killed", () => {
  test("is taken up again from its checkpoint by the service that stays", async () => {
    const { id } = await start(long);
    await watch(id, ({ epochs }) => epochs.length >= 2);
    // The service's only child is the run's process.
    const children = execFileSync("ps", ["-o", "pid=", "--ppid", String(service.pid)], { encoding: "utf8" });
    process.kill(Number(children.trim()), "SIGKILL");
    const run = await watch(id);
    expect(run).toMatchObject({ state: RunState.SUCCEEDED, resumes: 1 });
    expect(run.epochs.length).toBe(12);
  });
});

describe("a search", () => {
  // The second trial diverges.
  const grid = { grid: { over: { learningRate: { values: [0.0001, 10, 0.02] } } } };
  const losses = ({ trials }: Run) => trials.map(({ validationLoss }) => validationLoss);

  test("keeps the model with the best validation loss, and says what the others were", async () => {
    const steep = { epochs: 2, layers: [{ denseWith: { units: 16, activation: "linear" } }], l2: 0 };
    const spec = exampleSpec({ name: "search", search: grid }, steep);
    const run = await watch((await start(spec)).id);
    expect(run.error).toBeUndefined();
    expect(run.state).toBe(RunState.SUCCEEDED);
    expect(run.trials.map(({ number, parameters }) => [number, parameters.learningRate])).toEqual([
      [1, 0.0001],
      [2, 10],
      [3, 0.02],
    ]);
    const known = losses(run).map((loss) => loss ?? Number.POSITIVE_INFINITY);
    expect(run.trials.filter(({ chosen }) => chosen).map(({ number }) => number)).toEqual([
      known.indexOf(Math.min(...known)) + 1,
    ]);
    expect(run.trials.find(({ chosen }) => chosen)?.number).toBe(3);
    expect(run.epochs.map(({ epoch }) => epoch)).toEqual([1, 2]);
    const alone = await watch((await start(exampleSpec({ name: "search" }, { ...steep, learningRate: 0.02 }))).id);
    expect(run.epochs.map(({ trainingLoss }) => trainingLoss)).toEqual(
      alone.epochs.map(({ trainingLoss }) => trainingLoss),
    );
    expect(run.evaluation?.metrics).toEqual(alone.evaluation?.metrics);
    const store = await openModelStore(`oci:${fresh.folder}/models`);
    const reader = await store.pull(run.packageReference, ["card"]);
    const card = await reader.card();
    await store.close();
    expect(reader.manifest.lineage?.parameters).toEqual({ learningRate: 0.02 });
    expect(card).toContain("- chosen by a search, on the validation split: learningRate 0.02");
  });

  test("that the service was killed in goes on with the trial that it was in, to the same package", async () => {
    const spec = exampleSpec({ name: "long_search", search: grid }, { epochs: 6 });
    const undisturbed = await watch((await start(spec)).id);
    const { id } = await start(spec);
    await watch(id, ({ trials, epochs }) => trials.length === 1 && epochs.length >= 2);
    await service.stop("SIGKILL");
    await service.start();
    const resumed = await watch(id);
    expect(resumed).toMatchObject({ state: RunState.SUCCEEDED, resumes: 1, packageDigest: undisturbed.packageDigest });
    expect(losses(resumed)).toEqual(losses(undisturbed));
    expect(resumed.epochs).toHaveLength(6);
  });
});

describe("a spec that cannot work is refused before any work", () => {
  const refused = async (spec: ReturnType<typeof exampleSpec>) =>
    start(spec).then(
      () => undefined,
      (error: { code: string; reason: string; violations: { field: string; got: string }[] }) => ({
        code: error.code,
        reason: error.reason,
        fields: error.violations.map(({ field }) => field),
      }),
    );

  test("naming every unknown column, feature and expression", async () => {
    const spec = exampleSpec();
    if (spec.dataset?.examples === undefined) throw new Error("The spec has no examples.");
    spec.dataset.columns.push("distanse");
    spec.dataset.examples.label = "dely > 45";
    spec.dataset.examples.where = "departed_at";
    expect(await refused(spec)).toEqual({
      code: "INVALID_ARGUMENT",
      reason: "TRAINING_SPEC_INVALID",
      fields: ["spec.dataset.examples.label", "spec.dataset.columns[4]", "spec.dataset.examples.where"],
    });
    const preparation = [
      { feature: "carrier", standardize: {} },
      { feature: "none", cyclic: { period: 24 } },
    ];
    expect((await refused(exampleSpec({}, { preparation })))?.fields).toEqual([
      "spec.trainer.tfjs.preparation[0]",
      "spec.trainer.tfjs.preparation[1].feature",
    ]);
  });

  test("naming every part that contradicts another", async () => {
    const spec = exampleSpec(
      {
        evaluation: { metrics: ["AUK"], slices: ["airport"], bootstrap: { blockBy: "soon" } },
        gates: [{ metric: "LOG_LOSS", notWorseThanChampionBy: 0.01 }],
        output: { repository: "Not A Name", tag: "-" },
      },
      { layers: [{ dense: 0 }, { dropout: 1 }, { denseWith: { units: 3, activation: "maxout" } }] },
    );
    expect((await refused(spec))?.fields).toEqual(
      [
        "spec.trainer.tfjs.layers[0].dense",
        "spec.trainer.tfjs.layers[1].dropout",
        "spec.trainer.tfjs.layers[2].denseWith.activation",
        "spec.evaluation.champion",
        "spec.evaluation.metrics[0]",
        "spec.evaluation.slices[0]",
        "spec.evaluation.bootstrap.block_by",
        "spec.output.repository",
        "spec.output.tag",
      ].toSorted((a, b) => order(a) - order(b)),
    );
  });

  const order = (field: string): number =>
    ["layers[0]", "layers[1]", "layers[2]", "metrics", "champion", "slices", "block_by", "repository", "tag"].findIndex(
      (part) => field.includes(part),
    );

  test("saying what is not allowed, and what lies outside of the data root", async () => {
    await expect(start(exampleSpec({ trainer: { command: { argv: ["true"] } } }))).rejects.toMatchObject({
      code: "PERMISSION_DENIED",
      message: expect.stringContaining("MILLRACE_ALLOW_COMMAND_TRAINER"),
    });
    expect(await refused(exampleSpec({ search: { grid: {} } }))).toMatchObject({ fields: ["spec.search.grid.over"] });
    const outside = exampleSpec();
    Object.assign(outside.dataset?.examples ?? {}, { data: { case: "parquet", value: "../../etc/*.parquet" } });
    expect(await refused(outside)).toMatchObject({ code: "INVALID_ARGUMENT", reason: "SOURCE_DATA_INVALID" });
    const missing = exampleSpec();
    Object.assign(missing.dataset?.examples ?? {}, { data: { case: "parquet", value: "none.parquet" } });
    expect(await refused(missing)).toMatchObject({ fields: ["dataset.examples.parquet"] });
  });

  test("but what only the data shows fails the run, with its reason and field", async () => {
    const spec = exampleSpec();
    Object.assign(spec.dataset?.examples ?? {}, { label: "delay > 100000" });
    const run = await watch((await start(spec)).id);
    expect(run.state).toBe(RunState.FAILED);
    expect(run.error).toMatchObject({ reason: "DATASET_UNUSABLE", field: "dataset.examples.label" });
  });
});
