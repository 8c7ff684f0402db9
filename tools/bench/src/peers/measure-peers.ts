import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@millrace/backing";
import { startScript } from "../child-server.ts";
import { denseModel } from "../dense-model.ts";
import { firstAnswer } from "../first-answer.ts";
import { inferRequest, modelInferPath } from "../infer-request.ts";
import { type LoadResult, unaryLoad } from "../load-generator.ts";
import { type Bar, type Measured, median, record, round } from "../record.ts";
import type { Memory, ServerProcess } from "../server-process.ts";
import { treeModel } from "../tree-model.ts";
import { kserve } from "./kserve.ts";
import { millrace } from "./millrace.ts";
import { mlserver } from "./mlserver.ts";
import type { Peer } from "./peer.ts";
import { triton } from "./triton.ts";

const inFlight = 32;

/** The models of the comparison; `batch` rows a request. */
const cases = [
  { name: "mlp", what: "MLP 32-64-64-1, batch 1", onnx: denseModel([32, 64, 64, 1]), width: 32, batch: 1, small: true },
  { name: "trees", what: "100 boosted trees, batch 1", onnx: treeModel(32, 100, 6), width: 32, batch: 1, small: true },
  {
    name: "wide",
    what: "net 1024-1024-1024-1, batch 16",
    onnx: denseModel([1024, 1024, 1024, 1]),
    width: 1024,
    batch: 16,
    small: false,
  },
] as const;
/** For cold start and memory: three models, none of them large. */
const smallModels = [
  { name: "mlp", onnx: denseModel([32, 64, 64, 1]), width: 32 },
  { name: "trees", onnx: treeModel(32, 100, 6), width: 32 },
  { name: "net", onnx: denseModel([64, 128, 128, 1]), width: 64 },
] as const;

interface Running {
  readonly peer: Peer;
  readonly process: ServerProcess;
  readonly address: string;
  /** By case: what each turn gave, and the processor time of all its calls. */
  readonly results: ReadonlyMap<string, { readonly loads: LoadResult[]; cpuSeconds: number }>;
}

/**
 * Installs, starts and measures MLServer, KServe's Python server and Triton beside ours and a grpc-js echo: throughput in
 * turns with all of them up, and then, one by one, cold start and memory. A peer that cannot be had is named, and left out.
 */
export const measurePeers = async (command: string, runs: number, seconds: number): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
  try {
    const peers = [millrace];
    for (const peer of [mlserver(1), mlserver(0), kserve, triton(true), triton(false)]) {
      if (await isInstalled(peer)) peers.push(peer);
    }
    const rows = [
      ...(await measureThroughput(peers, join(folder, "throughput"), runs, seconds)),
      ...(await measureStart(peers, join(folder, "start"), runs)),
    ];
    record("inference-peers", command, rows);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

const isInstalled = async (peer: Peer): Promise<boolean> => {
  try {
    await peer.install();
    return true;
  } catch (error) {
    console.warn(`${peer.name} cannot be had here and is left out: ${String(error)}`);
    return false;
  }
};

const measureThroughput = async (
  peers: readonly Peer[],
  folder: string,
  runs: number,
  seconds: number,
): Promise<Measured[]> => {
  const requests = new Map(cases.map(({ name, width, batch }) => [name, inferRequest(name, [batch, width])]));
  const running: Running[] = [];
  const echoes: ServerProcess[] = [];
  let expected: readonly (readonly number[])[] | undefined;
  try {
    for (const peer of peers) {
      const port = await freePort();
      const own = join(folder, String(port));
      mkdirSync(own, { recursive: true });
      const process = await peer.start(cases, own, port);
      const results = new Map(cases.map(({ name }) => [name, { loads: [], cpuSeconds: 0 }]));
      running.push({ peer, process, address: `127.0.0.1:${port}`, results });
      const answers = await firstAnswer(process, `127.0.0.1:${port}`, [...requests.values()]);
      const outputs = cases.map(({ batch }, index) => outputOf(answers[index], batch));
      expected ??= outputs;
      if (!outputs.every((values, index) => areClose(values, expected?.[index] ?? []))) {
        throw new Error(`${peer.name} answers otherwise than ours: it is not compared.`);
      }
    }
    const [ours] = running;
    if (ours === undefined) throw new Error("Nothing was started.");
    const rows: Measured[] = [];
    for (const { name, what, small } of cases) {
      const request = requests.get(name) ?? Buffer.alloc(0);
      const [answer] = await firstAnswer(ours.process, ours.address, [request]);
      const echoPort = await freePort();
      const echo = await startScript([
        join(import.meta.dirname, "../echo-server.ts"),
        String(echoPort),
        String(answer?.byteLength),
      ]);
      echoes.push(echo);
      const ceiling: LoadResult[] = [];
      const load = { request, inFlight, seconds, warmUpSeconds: 1 };
      // The first turn compiles code, ours and the echo's, and does not count.
      for (let run = -1; run < runs; run++) {
        const echoed = await unaryLoad({ ...load, address: `127.0.0.1:${echoPort}`, path: "/echo.Echo/Unary" });
        if (run >= 0) ceiling.push(echoed);
        for (const { peer, process, address, results } of running) {
          const before = process.cpuSeconds();
          const result = await unaryLoad({ ...load, address, path: modelInferPath });
          if (result.failures > 0) throw new Error(`${peer.name} failed ${result.failures} calls of ${name}.`);
          if (run < 0) continue;
          const kept = results.get(name);
          kept?.loads.push(result);
          if (kept !== undefined) kept.cpuSeconds += process.cpuSeconds() - before;
        }
      }
      rows.push(...compare(what, name, running, ceiling, small));
    }
    return rows;
  } finally {
    await Promise.all([...running.map(({ process }) => process.stop()), ...echoes.map((echo) => echo.stop())]);
  }
};

/** The values of the only output, FP32 [batch, 1]: an answer ends with its raw contents, whoever gives it. */
const outputOf = (answer: Buffer | undefined, batch: number): readonly number[] =>
  Array.from({ length: batch }, (_, row) => answer?.readFloatLE(answer.byteLength - 4 * (batch - row)) ?? Number.NaN);

const areClose = (values: readonly number[], expected: readonly number[]): boolean =>
  values.length === expected.length &&
  values.every((value, index) => Math.abs(value - (expected[index] ?? Number.NaN)) < 1e-4);

const ratesOf = (loads: readonly LoadResult[]): readonly number[] => loads.map(({ perSecond }) => perSecond);

const compare = (
  what: string,
  name: string,
  running: readonly Running[],
  ceiling: readonly LoadResult[],
  small: boolean,
): Measured[] => {
  const echo = median(ratesOf(ceiling));
  const [mine, ...others] = running.map(({ peer, results }) => {
    const { loads = [], cpuSeconds = 0 } = results.get(name) ?? {};
    // A second of warm-up before each turn costs processor time too, and its calls are not counted: the same for all.
    const calls = loads.reduce((sum, { calls }) => sum + calls, 0);
    return {
      peer,
      rates: ratesOf(loads),
      p99Ms: median(loads.map(({ p99Ms }) => p99Ms)),
      cpuUs: (cpuSeconds / calls) * 1e6,
    };
  });
  if (mine === undefined) return [];
  const row = {
    what: `ModelInfer, ${what}, ${inFlight} in flight`,
    ours: median(mine.rates),
    unit: "calls/s",
    runs: mine.rates,
  };
  // The bar is meant beside MLServer as it comes: with a worker.
  const bar: Bar = { of: "ratio", atLeast: 5 };
  return [
    {
      ...row,
      ceiling: echo,
      ceilingName: "grpc-js echo",
      note: `p99 ${mine.p99Ms.toFixed(1)} ms, ${round(mine.cpuUs)} µs of processor time a call`,
    },
    ...others.map(({ peer, rates, p99Ms, cpuUs }) => ({
      ...row,
      ceiling: median(rates),
      ceilingName: peer.name,
      note: `theirs: ${(median(rates) / echo).toFixed(2)} of the echo, p99 ${p99Ms.toFixed(1)} ms, ${round(cpuUs)} µs`,
      ...(small && peer.name === mlserver(1).name ? { bar } : {}),
    })),
  ];
};

interface Started {
  readonly peer: Peer;
  readonly seconds: number[];
  readonly atStart: Memory[];
  readonly afterCalls: Memory[];
}

const measureStart = async (peers: readonly Peer[], folder: string, runs: number): Promise<Measured[]> => {
  const measured = peers.map((peer): Started => ({ peer, seconds: [], atStart: [], afterCalls: [] }));
  // In turns, so that the machine's mood hits all alike. The first turn fills caches, of files and of compiled code, and
  // does not count.
  for (let run = -1; run < runs; run++) {
    for (const { peer, seconds, atStart, afterCalls } of measured) {
      const one = await startOnce(peer, folder);
      if (run < 0) continue;
      seconds.push(one.seconds);
      atStart.push(one.atStart);
      afterCalls.push(one.afterCalls);
    }
  }
  const [mine, ...others] = measured;
  if (mine === undefined) return [];
  return [
    ...compareStarts(
      { what: "cold start: from the process's start until each of three models has answered", unit: "s", bar: 1.5 },
      mine,
      others,
      ({ seconds }) => seconds,
    ),
    ...compareStarts(
      { what: "resident memory with three small models, when each has answered", unit: "MB", bar: 250 },
      mine,
      others,
      ({ atStart }) => atStart.map(({ resident }) => resident / 1e6),
      ({ atStart }) => `${proportional(atStart)} where pages that processes share are shared out`,
    ),
    ...compareStarts(
      { what: "the same after three seconds of calls", unit: "MB" },
      mine,
      others,
      ({ afterCalls }) => afterCalls.map(({ resident }) => resident / 1e6),
      ({ afterCalls }) => `${proportional(afterCalls)} where pages that processes share are shared out`,
    ),
  ];
};

const proportional = (sizes: readonly Memory[]): string =>
  `${round(median(sizes.map((size) => size.proportional / 1e6)))} MB`;

const startOnce = async (peer: Peer, folder: string) => {
  const port = await freePort();
  const own = join(folder, String(port));
  mkdirSync(own, { recursive: true });
  const requests = smallModels.map(({ name, width }) => inferRequest(name, [1, width]));
  const begunMs = performance.now();
  const process = await peer.start(smallModels, own, port);
  try {
    await firstAnswer(process, `127.0.0.1:${port}`, requests);
    const seconds = (performance.now() - begunMs) / 1000;
    const atStart = process.memory();
    for (const request of requests) {
      const load = { request, inFlight: 8, seconds: 1, warmUpSeconds: 0 };
      await unaryLoad({ ...load, address: `127.0.0.1:${port}`, path: modelInferPath });
    }
    return { seconds, atStart, afterCalls: process.memory() };
  } finally {
    await process.stop();
  }
};

/** A row of ours for its bar, where it has one, and a row beside each of the others. */
const compareStarts = (
  { what, unit, bar }: { readonly what: string; readonly unit: string; readonly bar?: number },
  mine: Started,
  others: readonly Started[],
  figures: (started: Started) => readonly number[],
  note: (started: Started) => string | undefined = () => undefined,
): Measured[] => {
  const row = { what, unit, ours: median(figures(mine)), runs: figures(mine) };
  const noteOf = (started: Started, whose = "") => {
    const text = note(started);
    return text === undefined ? {} : { note: `${whose}${text}` };
  };
  return [
    { ...row, ...(bar === undefined ? {} : { bar: { of: "figure", atMost: bar } }), ...noteOf(mine) },
    ...others.map((other) => ({
      ...row,
      ceiling: median(figures(other)),
      ceilingName: other.peer.name,
      ...noteOf(other, "theirs: "),
    })),
  ];
};
