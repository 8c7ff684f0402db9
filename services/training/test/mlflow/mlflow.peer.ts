import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "@millrace/backing";
import { RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exampleSpec, freshFolder, writeExamples } from "../examples.fixture.ts";
import { TrainingProcess } from "../training-process.ts";

const environment = join(import.meta.dirname, "../../../../.backing/mlflow");
const python = join(environment, "bin/python");
const release = "3.17.2";

const fresh = await freshFolder();
let url: string;
let port: number;
let server: ChildProcess | undefined;

const startMlflow = async (): Promise<void> => {
  server = spawn(
    python,
    [
      ...["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", String(port), "--workers", "1"],
      ...["--backend-store-uri", `sqlite:///${fresh.folder}/mlflow.db`, "--artifacts-destination", fresh.folder],
    ],
    { stdio: "ignore", cwd: fresh.folder, detached: true },
  );
  for (let attempt = 0; attempt < 600; attempt++) {
    const isUp = await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      // It does not listen yet: that is what is waited for.
      () => false,
    );
    if (isUp) return;
    await sleep(200);
  }
  throw new Error("MLflow did not come up.");
};

const stopMlflow = async (): Promise<void> => {
  if (server?.pid === undefined || server.exitCode !== null) return;
  const ended = once(server, "exit");
  process.kill(-server.pid, "SIGKILL");
  await ended;
};

interface MlflowRun {
  readonly info: { readonly run_id: string; readonly status: string; readonly run_name: string };
  readonly data: {
    readonly metrics?: readonly { readonly key: string; readonly value: number; readonly step: number }[];
    readonly params?: readonly { readonly key: string; readonly value: string }[];
    readonly tags?: readonly { readonly key: string; readonly value: string }[];
  };
}

const ask = async (path: string, body?: object): Promise<unknown> => {
  const answer = await fetch(`${url}/api/2.0/mlflow/${path}`, {
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    headers: { "content-type": "application/json" },
  });
  expect(answer.status).toBe(200);
  return answer.json();
};

const runsOf = async (experiment: string): Promise<readonly MlflowRun[]> => {
  const { experiment: found } = (await ask(`experiments/get-by-name?experiment_name=${experiment}`)) as {
    experiment: { experiment_id: string };
  };
  const { runs = [] } = (await ask("runs/search", { experiment_ids: [found.experiment_id] })) as { runs?: MlflowRun[] };
  return runs;
};

beforeAll(async () => {
  if (!existsSync(join(environment, "bin/mlflow"))) {
    execFileSync("python3", ["-m", "venv", environment]);
    execFileSync(python, ["-m", "pip", "install", "--quiet", `mlflow==${release}`], { timeout: 540_000 });
  }
  port = await freePort();
  url = `http://127.0.0.1:${port}`;
  await writeExamples(fresh.folder);
});
afterAll(async () => {
  await stopMlflow();
  await fresh.remove();
});

test("runs that are over are written to MLflow once, those from while it was away too", async () => {
  const service = await TrainingProcess.create(fresh.folder, { "mlflow-tracking-uri": url });
  await service.start();
  const early = await service.startRun(exampleSpec({}, { epochs: 2 }));
  await service.watch(early.id);
  const oneClass = exampleSpec({ name: "other" }, { epochs: 1 });
  Object.assign(oneClass.dataset?.examples ?? {}, { label: "delay > 100000" });
  const failing = await service.startRun(oneClass, "failing");
  const failed = await service.watch(failing.id);
  expect(failed.state).toBe(RunState.FAILED);
  // Nothing was there to take them.
  await startMlflow();
  const mlflowIdOf = (id: string): Promise<string> =>
    service.withClient(async (client) => (await client.getRun({ id })).run?.mlflowRunId ?? "");
  while ((await mlflowIdOf(failing.id)) === "") await sleep(100);

  const [run, ...others] = await runsOf("delay");
  expect(others).toEqual([]);
  const { info, data } = run ?? { info: undefined, data: { metrics: [], params: [], tags: [] } };
  expect(info).toMatchObject({ status: "FINISHED", run_name: early.id, run_id: await mlflowIdOf(early.id) });
  const tags = new Map(data.tags?.map(({ key, value }) => [key, value]));
  const ours = await service.withClient(async (client) => (await client.getRun({ id: early.id })).run);
  expect(tags.get("millrace.package")).toBe(ours?.packageReference);
  expect(tags.get("millrace.state")).toBe("succeeded");
  const params = new Map(data.params?.map(({ key, value }) => [key, value]));
  expect(params.get("trainer.tfjs.batchSize")).toBe("256");
  expect(params.get("trainer.tfjs.layers_0_.dense")).toBe("16");
  const metrics = new Map(data.metrics?.map(({ key, value }) => [key, value]));
  expect(metrics.get("test_roc_auc")).toBe(ours?.evaluation?.metrics.find(({ name }) => name === "ROC_AUC")?.value);
  expect(metrics.get("validation_loss")).toBe(ours?.epochs[1]?.validationLoss);
  const { metrics: history } = (await ask(`metrics/get-history?run_id=${info?.run_id}&metric_key=training_loss`)) as {
    metrics: { step: number }[];
  };
  expect(history.map(({ step }) => step)).toEqual([1, 2]);
  expect((await runsOf("other")).map(({ info: { status } }) => status)).toEqual(["FAILED"]);

  // A service that starts again writes nothing twice.
  await service.stop("SIGKILL");
  await service.start();
  const late = await service.startRun(exampleSpec({ seed: "9" }, { epochs: 1 }), "late");
  await service.watch(late.id);
  while ((await mlflowIdOf(late.id)) === "") await sleep(100);
  expect((await runsOf("delay")).map(({ info: { run_name } }) => run_name).sort()).toEqual([early.id, late.id].sort());
  expect(await service.stop("SIGTERM")).toBe(0);
});
