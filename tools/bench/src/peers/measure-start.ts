import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "@millrace/backing";
import { denseModel } from "../dense-model.ts";
import { firstAnswer } from "../first-answer.ts";
import { inferRequest, modelInferPath } from "../infer-request.ts";
import { unaryLoad } from "../load-generator.ts";
import { type Measured, median, round } from "../record.ts";
import type { Memory } from "../server-process.ts";
import { treeModel } from "../tree-model.ts";
import { undisturbed } from "../undisturbed.ts";
import type { Peer } from "./peer.ts";

/** Three models, none of them large. */
const smallModels = [
  { name: "mlp", onnx: denseModel([32, 64, 64, 1]), width: 32 },
  { name: "trees", onnx: treeModel(32, 100, 6), width: 32 },
  { name: "net", onnx: denseModel([64, 128, 128, 1]), width: 64 },
] as const;

interface Started {
  readonly peer: Peer;
  readonly seconds: number[];
  readonly atStart: Memory[];
  readonly afterCalls: Memory[];
}

/** Cold start and memory of each peer, ours the first of them, one by one. */
export const measureStart = async (peers: readonly Peer[], folder: string, runs: number): Promise<Measured[]> => {
  const measured = peers.map((peer): Started => ({ peer, seconds: [], atStart: [], afterCalls: [] }));
  // In turns, so that the machine's mood hits all alike. The first turn fills caches, of files and of compiled code, and
  // does not count.
  for (let run = -1; run < runs; run++) {
    for (const { peer, seconds, atStart, afterCalls } of measured) {
      const { result: one } = await undisturbed(() => startOnce(peer, folder));
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
