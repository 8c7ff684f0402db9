import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@millrace/backing";
import { denseModel } from "./dense-model.ts";
import { firstAnswer } from "./first-answer.ts";
import { inferRequest } from "./infer-request.ts";
import { millrace } from "./peers/millrace.ts";
import { type PerfAnalysis, PerfAnalyzer } from "./peers/perf-analyzer-program.ts";
import { triton } from "./peers/triton.ts";
import { median, record } from "./record.ts";
import type { ServerProcess } from "./server-process.ts";

/*
 * NVIDIA's perf_analyzer, unchanged, against ours and against Triton with its Python backend: the same small network, in
 * turns. It reads metadata, configuration and statistics too, and fails where a server answers one of them otherwise than
 * Triton does.
 */
const windowMs = Number(process.env.BENCH_SECONDS ?? 2) * 1000;
const runs = Number(process.env.BENCH_RUNS ?? 3);
// It ends with an error where no two windows agree; on a machine that does other things few do.
const stability = ["-p", String(windowMs), "-s", "90", "-r", "6"];
const loads = [
  { what: "unary, 32 in flight", options: ["--concurrency-range", "32"] },
  { what: "unary, asynchronous, 32 in flight", options: ["--async", "--concurrency-range", "32"] },
  { what: "stream, 32 in flight", options: ["--streaming", "--concurrency-range", "32"] },
  { what: "unary, 8 rows a request, 8 in flight", options: ["-b", "8", "--concurrency-range", "8"] },
];

const analyzer = await PerfAnalyzer.install();
const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
const models = [{ name: "mlp", onnx: denseModel([32, 64, 64, 1]), width: 32 }];
const started: ServerProcess[] = [];
try {
  const servers = [];
  for (const peer of [millrace, triton(true)]) {
    await peer.install();
    const port = await freePort();
    const own = join(folder, String(port));
    mkdirSync(own);
    const server = await peer.start(models, own, port);
    started.push(server);
    await firstAnswer(server, `127.0.0.1:${port}`, [inferRequest("mlp", [1, 32])]);
    servers.push({ name: peer.name, address: `127.0.0.1:${port}` });
  }
  const rows = [];
  for (const { what, options } of loads) {
    const [mine, theirs] = servers.map(() => [] as PerfAnalysis[]);
    for (let run = 0; run < runs; run++) {
      for (const [index, { address }] of servers.entries()) {
        const report = join(folder, "report.csv");
        const analysis = await analyzer.run("mlp", address, [...options, ...stability], report);
        (index === 0 ? mine : theirs)?.push(analysis);
      }
    }
    const rates = (mine ?? []).map(({ perSecond }) => perSecond);
    const p99 = (analyses: readonly PerfAnalysis[] = []) => median(analyses.map(({ p99Ms }) => p99Ms)).toFixed(1);
    rows.push({
      what: `perf_analyzer, MLP 32-64-64-1, ${what}`,
      ours: median(rates),
      unit: "rows/s",
      runs: rates,
      ceiling: median((theirs ?? []).map(({ perSecond }) => perSecond)),
      ceilingName: servers[1]?.name ?? "",
      note: `p99 ${p99(mine)} beside ${p99(theirs)} ms`,
    });
  }
  record("perf-analyzer", "npx nx run bench:perf-analyzer", rows);
} finally {
  await Promise.all(started.map((server) => server.stop()));
  rmSync(folder, { recursive: true });
}
