import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { freePort } from "@millrace/backing";
import { ModelInferRequestSchema, ModelStreamInferResponseSchema } from "@millrace/contracts/inference/grpc_service";
import { startScript, startService } from "./child-server.ts";
import { denseModel } from "./dense-model.ts";
import { type LoadResult, streamLoad, unaryLoad } from "./load-generator.ts";
import { median, record } from "./record.ts";

/*
 * ModelInfer of a small network against a raw grpc-js echo of the same bytes: the same generator, one connection, and the
 * two measured in turns so that the machine's mood hits both alike.
 */
const width = 32;
const inFlight = 32;
const runs = 3;
const seconds = Number(process.env.BENCH_SECONDS ?? 5);

/** A ModelStreamInferResponse of a failed request begins with its field 1, error_message; another with field 2. */
const isFailure = (answer: Buffer): boolean => answer[0] !== 0x12;

const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
writeFileSync(join(folder, "mlp.onnx"), denseModel([width, 64, 64, 1]));
const raw = new Uint8Array(new Float32Array(width).fill(0.5).buffer);
const request = Buffer.from(
  toBinary(
    ModelInferRequestSchema,
    create(ModelInferRequestSchema, {
      modelName: "mlp",
      inputs: [{ name: "x", datatype: "FP32", shape: [1n, BigInt(width)] }],
      rawInputContents: [raw],
    }),
  ),
);
// An answer of one row has about this many bytes; the stream's is wrapped once more.
const answerBytes = toBinary(
  ModelStreamInferResponseSchema,
  create(ModelStreamInferResponseSchema, {
    inferResponse: {
      modelName: "mlp",
      modelVersion: "1",
      outputs: [{ name: "y", datatype: "FP32", shape: [1n, 1n] }],
      rawOutputContents: [new Uint8Array(4)],
    },
  }),
).byteLength;

const [echoPort, ourPort, metricsPort] = [await freePort(), await freePort(), await freePort()];
const echo = await startScript([join(import.meta.dirname, "echo-server.ts"), String(echoPort), String(answerBytes)]);
const ours = await startService(join(import.meta.dirname, "../../../services/inference/src/main.ts"), ourPort, {
  MILLRACE_MODELS: folder,
  MILLRACE_METRICS_PORT: String(metricsPort),
  MILLRACE_LOG_LEVEL: "warn",
});
try {
  const rows = [];
  for (const [kind, run, echoPath, ourPath] of [
    ["unary", unaryLoad, "/echo.Echo/Unary", "/inference.GRPCInferenceService/ModelInfer"],
    ["stream", streamLoad, "/echo.Echo/Stream", "/inference.GRPCInferenceService/ModelStreamInfer"],
  ] as const) {
    const ceiling: LoadResult[] = [];
    const measured: LoadResult[] = [];
    let cpuSeconds = 0;
    let echoCpuSeconds = 0;
    for (let index = 0; index < runs; index++) {
      const load = { request, inFlight, seconds, warmUpSeconds: 1 };
      const echoBefore = echo.cpuSeconds();
      ceiling.push(await run({ ...load, address: `127.0.0.1:${echoPort}`, path: echoPath }));
      echoCpuSeconds += echo.cpuSeconds() - echoBefore;
      const before = ours.cpuSeconds();
      measured.push(await run({ ...load, address: `127.0.0.1:${ourPort}`, path: ourPath, isFailure }));
      cpuSeconds += ours.cpuSeconds() - before;
    }
    const failures = measured.reduce((sum, one) => sum + one.failures, 0);
    if (failures > 0) throw new Error(`${failures} ${kind} calls failed.`);
    const rates = measured.map(({ perSecond }) => perSecond);
    const calls = (results: readonly LoadResult[]): number => results.reduce((sum, one) => sum + one.calls, 0);
    rows.push(
      {
        what: `${kind} ModelInfer, MLP 32-64-64-1, batch 1, ${inFlight} in flight`,
        ours: median(rates),
        unit: "calls/s",
        ceiling: median(ceiling.map(({ perSecond }) => perSecond)),
        ceilingName: "grpc-js echo",
        runs: rates,
        note: `p50 ${median(measured.map(({ p50Ms }) => p50Ms)).toFixed(2)} ms, p99 ${median(measured.map(({ p99Ms }) => p99Ms)).toFixed(2)} ms`,
      },
      {
        what: `server processor time of a ${kind} call`,
        ours: (cpuSeconds / calls(measured)) * 1e6,
        unit: "µs",
        ceiling: (echoCpuSeconds / calls(ceiling)) * 1e6,
        ceilingName: "grpc-js echo",
        runs: [(cpuSeconds / calls(measured)) * 1e6],
        note: "a second of warm-up counts in both",
      },
    );
  }
  record("inference", "npx nx run bench:inference", rows);
} finally {
  await Promise.all([echo.stop(), ours.stop()]);
  rmSync(folder, { recursive: true });
}
