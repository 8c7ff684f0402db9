import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "@millrace/backing";
import { startScript } from "../child-server.ts";
import { denseModel } from "../dense-model.ts";
import { firstAnswer } from "../first-answer.ts";
import { inferRequest, modelInferPath } from "../infer-request.ts";
import { type Load, type LoadResult, unaryLoad } from "../load-generator.ts";
import { type Bar, type Measured, median, round } from "../record.ts";
import type { ServerProcess } from "../server-process.ts";
import { treeModel } from "../tree-model.ts";
import { disturbance, type Turn, undisturbed } from "../undisturbed.ts";
import { mlserver } from "./mlserver.ts";
import type { Peer } from "./peer.ts";

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
/** What a turn gave, and the processor time that the server used. */
type Loaded = LoadResult & { readonly cpuSeconds: number };

interface Running {
  readonly peer: Peer;
  readonly process: ServerProcess;
  readonly address: string;
  /** By case. */
  readonly turns: ReadonlyMap<string, Turn<Loaded>[]>;
}

/** Calls a second of each peer, ours the first of them, in turns with all of them up, beside an echo of the same bytes. */
export const measureThroughput = async (
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
      const turns = new Map(cases.map(({ name }) => [name, []]));
      running.push({ peer, process, address: `127.0.0.1:${port}`, turns });
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
      const ceiling: Turn<Loaded>[] = [];
      const load = { request, inFlight, seconds, warmUpSeconds: 0.5 };
      // The first turn compiles code, ours and the echo's, and does not count.
      await unaryLoad({ ...load, address: `127.0.0.1:${echoPort}`, path: "/echo.Echo/Unary" });
      for (const { address } of running) await unaryLoad({ ...load, address, path: modelInferPath });
      for (let run = 0; run < runs; run++) {
        const echoed = { ...load, address: `127.0.0.1:${echoPort}`, path: "/echo.Echo/Unary" };
        ceiling.push(await turn(`the echo of ${name}`, echo, echoed));
        for (const { peer, process, address, turns } of running) {
          const own = { ...load, address, path: modelInferPath };
          turns.get(name)?.push(await turn(`${peer.name}, ${name}`, process, own));
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

const turn = (what: string, server: ServerProcess, load: Load): Promise<Turn<Loaded>> =>
  undisturbed(async () => {
    const before = server.cpuSeconds();
    const result = await unaryLoad(load);
    if (result.failures > 0) throw new Error(`${result.failures} calls failed: ${what}.`);
    return { ...result, cpuSeconds: server.cpuSeconds() - before };
  });

const ratesOf = (turns: readonly Turn<Loaded>[]): readonly number[] => turns.map(({ result }) => result.perSecond);

const compare = (
  what: string,
  name: string,
  running: readonly Running[],
  ceiling: readonly Turn<Loaded>[],
  small: boolean,
): Measured[] => {
  const echo = median(ratesOf(ceiling));
  const [mine, ...others] = running.map(({ peer, turns }) => {
    const own = turns.get(name) ?? [];
    return {
      peer,
      rates: ratesOf(own),
      p99Ms: median(own.map(({ result }) => result.p99Ms)),
      // Half a second of warm-up counts too, the same for all.
      cpuUs: median(own.map(({ result }) => (result.cpuSeconds / result.calls) * 1e6)),
      disturbed: disturbance([...own, ...ceiling]),
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
      note: noteOf(`p99 ${mine.p99Ms.toFixed(1)} ms, ${round(mine.cpuUs)} µs of processor time a call`, mine.disturbed),
    },
    ...others.map(({ peer, rates, p99Ms, cpuUs, disturbed }) => ({
      ...row,
      ceiling: median(rates),
      ceilingName: peer.name,
      note: noteOf(
        `theirs: ${(median(rates) / echo).toFixed(2)} of the echo, p99 ${p99Ms.toFixed(1)} ms, ${round(cpuUs)} µs`,
        disturbed,
      ),
      ...(small && peer.name === mlserver(1).name ? { bar } : {}),
    })),
  ];
};

const noteOf = (...parts: readonly string[]): string => parts.filter((part) => part !== "").join("; ");
