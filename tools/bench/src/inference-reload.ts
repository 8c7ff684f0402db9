import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  DeploymentService,
  VersionStatus_State as State,
} from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { createClient, openChannel } from "@millrace/grpc";
import { denseModel } from "./dense-model.ts";
import { deployModels } from "./deployed-model.ts";
import { inferRequest, modelInferPath } from "./infer-request.ts";
import { startInference } from "./inference-server.ts";
import { type OpenLoadResult, openLoad, quantile } from "./open-loop.ts";
import { median, record } from "./record.ts";

/*
 * A new version of a model every second, declared in the deployments file, while calls come at a fixed rate: how many
 * fail, and what it does to their time. In turns with the same load and no new versions.
 */
const perSecond = 300;
const runs = Number(process.env.BENCH_RUNS ?? 2);
const seconds = Number(process.env.BENCH_SECONDS ?? 20);

const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
const graphs = [denseModel([32, 64, 64, 1]), denseModel([32, 64, 32, 1])];
const deployed = await deployModels(folder, "mlp", graphs);
const { server, address } = await startInference({ ...deployed.environment, MILLRACE_DEPLOYMENTS_POLL_MS: "100" });
const channel = openChannel(address);
const deployments = createClient(DeploymentService, channel);
const load = { address, path: modelInferPath, request: inferRequest("mlp", [1, 32]), perSecond, deadlineMs: 5000 };

let version = 1;
/** Declares a new version every second until the signal, and answers which of them served. */
const reload = async (signal: AbortSignal): Promise<number> => {
  const served = new Set<string>();
  const watch = (async () => {
    for await (const { deployments: all } of deployments.watchStatus({}, { signal, timeoutMs: Infinity })) {
      for (const status of all.flatMap(({ versions }) => versions)) {
        if (status.state === State.READY) served.add(String(status.version));
      }
    }
  })().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  while (!signal.aborted) {
    version++;
    deployed.declare(version, deployed.references[version % 2] ?? "");
    await sleep(1000, undefined, { signal }).catch(() => undefined);
  }
  await watch;
  return served.size;
};

try {
  const calm: OpenLoadResult[] = [];
  const reloaded: OpenLoadResult[] = [];
  const versions: number[] = [];
  await openLoad({ ...load, seconds: 3 });
  for (let run = 0; run < runs; run++) {
    calm.push(await openLoad({ ...load, seconds }));
    const stop = new AbortController();
    const [result, count] = await Promise.all([
      openLoad({ ...load, seconds }).finally(() => stop.abort()),
      reload(stop.signal),
    ]);
    reloaded.push(result);
    versions.push(count);
  }
  if (Math.min(...versions) < seconds / 2) throw new Error(`Only ${versions.join(" and ")} versions served.`);
  const failed = reloaded.map(({ offered, answered }) => offered - answered);
  const p = (results: readonly OpenLoadResult[], share: number): number[] =>
    results.map(({ latenciesMs }) => quantile(latenciesMs, share));
  const load99 = { unit: "ms", ceilingName: "without new versions" };
  record("inference-reload", "npx nx run bench:inference-reload", [
    {
      what: `failed calls of ${perSecond} a second with a new version each second for ${seconds} s`,
      ours: Math.max(...failed),
      unit: "calls",
      runs: failed,
      bar: { of: "figure", atMost: 0 },
      note: `${versions.join(" and ")} versions served, by the deployments file`,
    },
    ...[0.5, 0.99].map((share) => ({
      ...load99,
      what: `p${share * 100} of the same calls`,
      ours: median(p(reloaded, share)),
      runs: p(reloaded, share),
      ceiling: median(p(calm, share)),
    })),
  ]);
} finally {
  channel.close();
  await server.stop();
  rmSync(folder, { recursive: true });
}
