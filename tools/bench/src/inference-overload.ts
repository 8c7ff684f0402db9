import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inferRequest, modelInferPath } from "./infer-request.ts";
import { startInference } from "./inference-server.ts";
import { unaryLoad } from "./load-generator.ts";
import { type OpenLoadResult, openLoad, quantile } from "./open-loop.ts";
import { type Measured, median, record, round } from "./record.ts";
import { slowRowsModel } from "./slow-models.ts";
import { disturbance, type Turn, undisturbed } from "./undisturbed.ts";

/*
 * What is left of a model's capacity when three times as much is asked of it. Capacity is measured with as many calls
 * under way as keep the model busy, before and after each overload. Then calls come at three times that rate, whether
 * earlier ones have ended or not, each with a deadline: those that are answered within it are the goodput.
 */
const overload = 3;
const seconds = Number(process.env.BENCH_SECONDS ?? 8);
const runs = Number(process.env.BENCH_RUNS ?? 3);
const deadlinesMs = [100, 500];
/** About 2 ms a row on a processor of 2026; the record says what it was. */
const steps = 200;

const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
writeFileSync(join(folder, "slow.onnx"), slowRowsModel(steps));
const { server, address } = await startInference({ MILLRACE_MODELS: folder });
const load = { address, path: modelInferPath, request: inferRequest("slow", [1, 64]) };

/** Calls a second with 32 under way. @throws where one fails. */
const capacity = async (): Promise<number> => {
  const { result } = await undisturbed(async () => {
    const { perSecond, failures } = await unaryLoad({ ...load, inFlight: 32, seconds: seconds / 2, warmUpSeconds: 1 });
    if (failures > 0) throw new Error(`${failures} calls failed with 32 under way.`);
    return perSecond;
  });
  return result;
};

const others = (results: readonly OpenLoadResult[]): string => {
  const counts = new Map<string, number>();
  for (const { refused } of results) {
    for (const [name, count] of refused) counts.set(name, (counts.get(name) ?? 0) + count);
  }
  return [...counts].map(([name, count]) => `${round(count)} ${name}`).join(", ");
};

try {
  const rows: Measured[] = [];
  for (const deadlineMs of deadlinesMs) {
    const capacities: number[] = [await capacity()];
    const results: OpenLoadResult[] = [];
    const turns: Turn<OpenLoadResult>[] = [];
    for (let run = 0; run < runs; run++) {
      const perSecond = overload * (capacities.at(-1) ?? 0);
      const turn = await undisturbed(() => openLoad({ ...load, perSecond, seconds, deadlineMs }));
      results.push(turn.result);
      turns.push(turn);
      capacities.push(await capacity());
    }
    const goodput = results.map(({ answered }) => answered / seconds);
    const p99 = median(results.map(({ latenciesMs }) => quantile(latenciesMs, 0.99)));
    const disturbed = disturbance(turns);
    rows.push({
      what: `goodput at ${overload} times the capacity, deadline ${deadlineMs} ms, ${round(1000 / median(capacities))} ms a row`,
      ours: median(goodput),
      unit: "calls/s",
      runs: goodput,
      ceiling: median(capacities),
      ceilingName: "its capacity, before and after",
      bar: { of: "ratio", atLeast: 0.9 },
      note: `capacity ${round(Math.min(...capacities))} – ${round(Math.max(...capacities))}; answered p99 ${p99.toFixed(0)} ms; others: ${others(results)}${disturbed === "" ? "" : `; ${disturbed}`}`,
    });
  }
  record("inference-overload", "npx nx run bench:inference-overload", rows);
} finally {
  await server.stop();
  rmSync(folder, { recursive: true });
}
