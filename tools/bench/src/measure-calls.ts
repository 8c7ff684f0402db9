import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import { freePort } from "@millrace/backing";
import { ModelStreamInferResponseSchema } from "@millrace/contracts/inference/grpc_service";
import { startScript } from "./child-server.ts";
import { denseModel } from "./dense-model.ts";
import { deployModels } from "./deployed-model.ts";
import { inferRequest, modelInferPath } from "./infer-request.ts";
import { startInference } from "./inference-server.ts";
import { type Load, type LoadResult, streamLoad, unaryLoad } from "./load-generator.ts";
import { type Measured, median, record, round } from "./record.ts";
import type { ServerProcess } from "./server-process.ts";
import { disturbance, type Turn, undisturbed } from "./undisturbed.ts";

const what = "MLP 32-64-64-1, batch 1, 32 in flight";
const mlp = denseModel([32, 64, 64, 1]);
const request = inferRequest("mlp", [1, 32]);
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

/** A ModelStreamInferResponse of a failed request begins with its field 1, error_message; another with field 2. */
const isFailure = (answer: Buffer): boolean => answer[0] !== 0x12;

/** A way that the same model is served, and what the design asks of it. */
interface Variant {
  readonly what: string;
  /** Least share of the echo. */
  readonly bar?: number;
  readonly server: ServerProcess;
  readonly address: string;
  readonly path: string;
  readonly load: (load: Load) => Promise<LoadResult>;
  readonly ceiling: (load: Load) => Promise<LoadResult>;
  /** What to say of it when it has been measured. @throws where what it is named for did not happen. */
  readonly note?: () => Promise<string>;
}

/**
 * ModelInfer of a small network against a raw grpc-js echo of the same bytes: the same generator, one connection, and all
 * of them measured in turns so that the machine's mood hits all alike.
 */
export const measureCalls = async (command: string, runs: number, seconds: number): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
  const started: ServerProcess[] = [];
  const script = async (name: string, ...args: readonly string[]): Promise<number> => {
    const port = await freePort();
    started.push(await startScript([join(import.meta.dirname, name), String(port), ...args]));
    return port;
  };
  const serve = async (environment: Readonly<Record<string, string>>) => {
    const { server, ...rest } = await startInference(environment);
    started.push(server);
    return { server, ...rest };
  };
  const logged = async (name: string) => {
    const own = join(folder, name);
    mkdirSync(own);
    const deployed = await deployModels(own, "mlp", [mlp], ", predictionLog: {inferSampling: 1}");
    return { ...deployed.environment, MILLRACE_EVENT_LOG_URL: `log:${join(own, "log")}` };
  };
  try {
    const models = join(folder, "models");
    mkdirSync(models);
    writeFileSync(join(models, "mlp.onnx"), mlp);
    const echoPort = await script("echo-server.ts", String(answerBytes));
    const [echo] = started;
    if (echo === undefined) throw new Error("There is no echo.");
    const sinkPort = await script("trace-sink-server.ts");
    const plain = await serve({ MILLRACE_MODELS: models });
    const withLog = await serve(await logged("log"));
    const withTraces = await serve({
      ...(await logged("traces")),
      MILLRACE_OTLP_ENDPOINT: `http://127.0.0.1:${sinkPort}`,
      MILLRACE_TRACE_SAMPLE_RATIO: "0.01",
    });
    const echoLoad = (run: (load: Load) => Promise<LoadResult>, method: string) => (load: Load) =>
      run({ ...load, address: `127.0.0.1:${echoPort}`, path: `/echo.Echo/${method}` });
    const unary = { path: modelInferPath, load: unaryLoad, ceiling: echoLoad(unaryLoad, "Unary") };
    const variants: readonly Variant[] = [
      { ...unary, ...plain, what: `unary ModelInfer, ${what}`, bar: 0.8 },
      {
        ...unary,
        ...withLog,
        what: `the same with every prediction logged`,
        bar: 0.7,
        note: () => logNote(withLog.metricsPort),
      },
      {
        ...unary,
        ...withTraces,
        what: `the same with every prediction logged and traces sampled at 1 %`,
        bar: 0.6,
        note: async () => `${await logNote(withTraces.metricsPort)}, ${await traceNote(sinkPort)}`,
      },
      {
        ...plain,
        what: `stream ModelInfer, ${what}`,
        path: "/inference.GRPCInferenceService/ModelStreamInfer",
        load: (load) => streamLoad({ ...load, isFailure }),
        ceiling: echoLoad(streamLoad, "Stream"),
      },
    ];
    const rows: Measured[] = [];
    for (const turn of [variants.slice(0, 3), variants.slice(3)]) {
      rows.push(...(await measure(turn, echo, runs, seconds)));
    }
    record("inference", command, rows);
  } finally {
    await Promise.all(started.map((server) => server.stop()));
    rmSync(folder, { recursive: true });
  }
};

/** Measures variants that have a ceiling in common, in turns with it. */
const measure = async (
  variants: readonly Variant[],
  echo: ServerProcess,
  runs: number,
  seconds: number,
): Promise<Measured[]> => {
  // Code is compiled while it runs first: the server's as much as the echo's and the generator's.
  const warmUp = { request, inFlight: 32, seconds, warmUpSeconds: 0, path: "" };
  for (const { address, path, load, ceiling: echoLoad } of variants) {
    await echoLoad({ ...warmUp, address });
    await load({ ...warmUp, address, path });
  }
  const ceiling: Turn<Loaded>[] = [];
  const measured = variants.map((variant) => ({ variant, turns: [] as Turn<Loaded>[] }));
  const turn = (what: string, server: ServerProcess, load: () => Promise<LoadResult>): Promise<Turn<Loaded>> =>
    undisturbed(async () => {
      const before = server.cpuSeconds();
      const result = await load();
      if (result.failures > 0) throw new Error(`${result.failures} calls failed: ${what}.`);
      return { ...result, cpuSeconds: server.cpuSeconds() - before };
    });
  for (let index = 0; index < runs; index++) {
    const load = { request, inFlight: 32, seconds, warmUpSeconds: 0.5, address: "", path: "" };
    const [first] = variants;
    if (first !== undefined) ceiling.push(await turn("echo", echo, () => first.ceiling(load)));
    for (const { variant, turns } of measured) {
      const { server, address, path, load: run, what } = variant;
      turns.push(await turn(what, server, () => run({ ...load, address, path })));
    }
  }
  const rows: Measured[] = [];
  for (const { variant, turns } of measured) {
    const { what, bar, note } = variant;
    const p = (pick: (load: LoadResult) => number): string =>
      median(turns.map(({ result }) => pick(result))).toFixed(2);
    const notes = [`p50 ${p(({ p50Ms }) => p50Ms)} ms, p99 ${p(({ p99Ms }) => p99Ms)} ms`];
    if (note !== undefined) notes.push(await note());
    const disturbed = disturbance([...turns, ...ceiling]);
    if (disturbed !== "") notes.push(disturbed);
    rows.push(
      {
        what,
        ours: median(rates(turns)),
        unit: "calls/s",
        ceiling: median(rates(ceiling)),
        ceilingName: "grpc-js echo",
        runs: rates(turns),
        ...(bar === undefined ? {} : { bar: { of: "ratio", atLeast: bar } }),
        note: notes.join("; "),
      },
      {
        what: `${what}: the server's processor time for a call`,
        ours: median(cpuUs(turns)),
        unit: "µs",
        ceiling: median(cpuUs(ceiling)),
        ceilingName: "grpc-js echo",
        runs: cpuUs(turns),
        note: "half a second of warm-up counts in both",
      },
    );
  }
  return rows;
};

/** What a turn gave, and the processor time that the server used. */
type Loaded = LoadResult & { readonly cpuSeconds: number };

const rates = (turns: readonly Turn<Loaded>[]): readonly number[] => turns.map(({ result }) => result.perSecond);

const cpuUs = (turns: readonly Turn<Loaded>[]): readonly number[] =>
  turns.map(({ result }) => (result.cpuSeconds / result.calls) * 1e6);

/** @throws where nothing was logged: the figure would be of something else. */
const logNote = async (metricsPort: number): Promise<string> => {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  const sum = (metric: string): number =>
    [...text.matchAll(new RegExp(`^${metric}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))].reduce(
      (total, [, value]) => total + Number(value),
      0,
    );
  const logged = sum("millrace_prediction_log_logged_total");
  if (logged === 0) throw new Error("No prediction was logged.");
  return `${round(logged)} logged, ${round(sum("millrace_prediction_log_dropped_total"))} dropped`;
};

/** Spans are sent every few seconds. @throws where none came. */
const traceNote = async (sinkPort: number): Promise<string> => {
  const client = new Client(`127.0.0.1:${sinkPort}`, credentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  const received = (): Promise<number> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest("/sink.Sink/Bytes", same, same, Buffer.alloc(0), (error, answer) => {
        if (error === null) resolve(Number(String(answer)));
        else reject(error);
      });
    });
  try {
    for (let attempt = 0; attempt < 20; attempt++) {
      const bytes = await received();
      if (bytes > 0) return `${round(bytes / 1000)} kB of spans sent`;
      await sleep(500);
    }
    throw new Error("No trace was sent.");
  } finally {
    client.close();
  }
};
