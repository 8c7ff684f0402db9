import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Run,
  RunPhase,
  RunState,
  TrainingService,
} from "@millrace/contracts/millrace/training/v1/training_service";
import { type Client, createClient, openChannel } from "@millrace/grpc";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exampleSpec, freshFolder, writeExamples } from "./examples.fixture.ts";

const fresh = await freshFolder();
const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
};

/** A training service as a process of its own, on the same state each time that it is started. */
class ServiceProcess {
  readonly port: number;
  readonly #metricsPort: number;
  #process: ChildProcess | undefined;
  output = "";

  constructor(port: number, metricsPort: number) {
    this.port = port;
    this.#metricsPort = metricsPort;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  async start(): Promise<void> {
    const flags = {
      "grpc-port": this.port,
      "metrics-port": this.#metricsPort,
      "state-url": `lmdb:${fresh.folder}/state`,
      "work-folder": join(fresh.folder, "runs"),
      "model-store-url": `oci:${fresh.folder}/models`,
      "data-root": fresh.folder,
    };
    const child = spawn(
      process.execPath,
      [
        "--conditions=@millrace/source",
        main,
        ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#process = child;
    const started = Promise.withResolvers<void>();
    const read = (chunk: Buffer): void => {
      this.output += chunk.toString();
      if (this.output.includes("training listens on")) started.resolve();
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("exit", (code) => started.reject(new Error(`The service ended with ${code}: ${this.output}`)));
    this.output = "";
    await started.promise;
  }

  /** @returns the exit code; null where a signal ended it. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null) return child?.exitCode ?? null;
    const exited = once(child, "exit");
    child.kill(signal);
    const [code] = await exited;
    return code as number | null;
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.#metricsPort}/metrics`)).text();
  }
}

const service = new ServiceProcess(await freePort(), await freePort());

const withClient = async <T>(use: (client: Client<typeof TrainingService>) => Promise<T>): Promise<T> => {
  const channel = openChannel(`127.0.0.1:${service.port}`);
  try {
    return await use(createClient(TrainingService, channel));
  } finally {
    channel.close();
  }
};

/** Watches a run until it is over, or until `enough` says so. */
const watch = (id: string, enough: (run: Run) => boolean = () => false): Promise<Run> =>
  withClient(async (client) => {
    let last: Run | undefined;
    for await (const { run } of client.watchRun({ id })) {
      last = run;
      if (run !== undefined && enough(run)) break;
    }
    if (last === undefined) throw new Error("No run came.");
    return last;
  });

const start = (spec = exampleSpec(), idempotencyKey = ""): Promise<Run> =>
  withClient(async (client) => {
    const { run } = await client.startRun({ spec, idempotencyKey, requestedBy: "test", codeRevision: "abc" });
    if (run === undefined) throw new Error("No run was answered.");
    return run;
  });

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
    });
    expect(await service.metrics()).toContain('millrace_training_runs_total{state="succeeded"} 1');
  });

  test("is one run for one idempotency key", async () => {
    const spec = exampleSpec({}, { epochs: 1 });
    const [first, second] = await Promise.all([start(spec, "key"), start(spec, "key")]);
    expect(second.id).toBe(first.id);
    expect((await start(spec, "another key")).id).not.toBe(first.id);
    await watch(first.id);
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

  test("saying what is not built, and what lies outside of the data root", async () => {
    expect(await refused(exampleSpec({ trainer: { command: { argv: ["true"] } } }))).toMatchObject({
      code: "UNIMPLEMENTED",
      fields: ["spec.trainer.command"],
    });
    expect(await refused(exampleSpec({ search: { grid: {} } }))).toMatchObject({ code: "UNIMPLEMENTED" });
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
