import { parseArgs } from "node:util";
import { measureCalls } from "./measure-calls.ts";
import { measurePeers } from "./peers/measure-peers.ts";

/*
 * `bench:inference` measures unary and streamed calls beside an echo of the same bytes; `bench:inference -- --peers`
 * measures other inference servers beside ours.
 */
const { values } = parseArgs({ options: { peers: { type: "boolean", default: false } } });
const seconds = Number(process.env.BENCH_SECONDS ?? 5);
const runs = Number(process.env.BENCH_RUNS ?? 3);
if (values.peers) await measurePeers("npx nx run bench:inference -- --peers", runs, seconds);
else await measureCalls("npx nx run bench:inference", runs, seconds);
