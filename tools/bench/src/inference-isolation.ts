import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, credentials } from "@grpc/grpc-js";
import { denseModel } from "./dense-model.ts";
import { inferRequest, modelInferPath } from "./infer-request.ts";
import { startInference } from "./inference-server.ts";
import { openLoad, quantile } from "./open-loop.ts";
import { median, record, round } from "./record.ts";
import type { ServerProcess } from "./server-process.ts";
import { slowRunModel } from "./slow-models.ts";
import { disturbance, undisturbed } from "./undisturbed.ts";

/*
 * What a model whose run takes 300 ms, always busy, does to the calls of a small model. Three states in turns: the small
 * model alone, the slow one busy on the same server, and the slow one busy on another server of the same machine. The
 * last is the control: it is what the slow model's share of the processors costs, however servers are built.
 */
const perSecond = 200;
const seconds = Number(process.env.BENCH_SECONDS ?? 5);
const runs = Number(process.env.BENCH_RUNS ?? 12);
const runMs = 300;

const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
const servers: ServerProcess[] = [];
const serve = async (name: string, models: Readonly<Record<string, Uint8Array>>) => {
  const own = join(folder, name);
  mkdirSync(own);
  for (const [model, onnx] of Object.entries(models)) writeFileSync(join(own, `${model}.onnx`), onnx);
  const started = await startInference({ MILLRACE_MODELS: own });
  servers.push(started.server);
  return started;
};

const same = (bytes: Buffer): Buffer => bytes;
const call = (client: Client, request: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    client.makeUnaryRequest(modelInferPath, same, same, request, (error) =>
      error === null ? resolve() : reject(error),
    );
  });

/** Keeps two calls of the slow model under way, so that one always waits. @returns a function that ends that. */
const keepBusy = (address: string): (() => Promise<void>) => {
  const client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  const request = inferRequest("slow", [1]);
  let busy = true;
  const loops = [0, 1].map(async () => {
    while (busy) await call(client, request);
  });
  return async () => {
    busy = false;
    await Promise.all(loops);
    client.close();
  };
};

/** @returns how many steps of the slow model take as long as a run shall take. */
const calibrate = async (): Promise<number> => {
  const steps = 20;
  const { server, address } = await serve("calibration", { slow: slowRunModel(steps) });
  const client = new Client(address, credentials.createInsecure());
  const times: number[] = [];
  for (let run = 0; run < 7; run++) {
    const begunMs = performance.now();
    await call(client, inferRequest("slow", [1]));
    times.push(performance.now() - begunMs);
  }
  client.close();
  await server.stop();
  return Math.round((steps * runMs) / median(times));
};

interface State {
  readonly name: string;
  readonly busy: string | undefined;
  readonly all: number[];
  readonly p99s: number[];
}

try {
  const mlp = denseModel([32, 64, 64, 1]);
  const slow = slowRunModel(await calibrate());
  const shared = await serve("shared", { mlp, slow });
  const other = await serve("other", { slow });
  const load = { path: modelInferPath, request: inferRequest("mlp", [1, 32]), perSecond, seconds, deadlineMs: 5000 };
  const state = (name: string, busy: string | undefined): State => ({ name, busy, all: [], p99s: [] });
  const alone = state("alone", undefined);
  const sameServer = state("the slow model busy on the same server", shared.address);
  const otherServer = state("the slow model busy on another server", other.address);
  const turns: { othersBusy: number }[] = [];
  await openLoad({ ...load, address: shared.address });
  for (let run = 0; run < runs; run++) {
    // Another order each time: none is always the one that comes after another.
    const order = [alone, sameServer, otherServer].map((_, index, all) => all[(index + run) % all.length] ?? alone);
    for (const { name, busy, all, p99s } of order) {
      const end = busy === undefined ? undefined : keepBusy(busy);
      await sleep(500);
      const { result, othersBusy } = await undisturbed(() => openLoad({ ...load, address: shared.address }));
      const { latenciesMs, refused } = result;
      await end?.();
      if (refused.size > 0) throw new Error(`Calls failed with ${name}: ${[...refused].join(", ")}.`);
      all.push(...latenciesMs);
      p99s.push(quantile(latenciesMs, 0.99));
      turns.push({ othersBusy });
    }
  }
  const disturbed = disturbance(turns);
  const pooled = ({ all }: State, share: number): number =>
    quantile(
      all.sort((a, b) => a - b),
      share,
    );
  const spread = ({ p99s }: State): string => `${round(Math.min(...p99s))} – ${round(Math.max(...p99s))}`;
  const rows = [alone, otherServer].map((beside) => ({
    what: `p99 of a small model, ${perSecond} calls a second, with a ${runMs} ms model busy on the same server`,
    ours: pooled(sameServer, 0.99),
    unit: "ms",
    runs: sameServer.p99s,
    ceiling: pooled(beside, 0.99),
    ceilingName: beside.name,
    note: `${round(sameServer.all.length)} calls each; p50 ${round(pooled(sameServer, 0.5))} beside ${round(pooled(beside, 0.5))} ms; p99 of ${runs} turns beside: ${spread(beside)}${disturbed === "" ? "" : `; ${disturbed}`}`,
    bar: { of: "ratio" as const, atMost: 1.1 },
  }));
  record("inference-isolation", "npx nx run bench:inference-isolation", rows);
} finally {
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(folder, { recursive: true });
}
