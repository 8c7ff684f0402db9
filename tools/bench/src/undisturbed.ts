import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ownCpuSeconds } from "./server-process.ts";

/** What a turn gave, and how many processors others used meanwhile, on average. */
export interface Turn<R> {
  readonly result: R;
  readonly othersBusy: number;
}

/** A turn in which others use more than this, in processors, is tried again. */
const tolerated = 0.15;
const attempts = Number(process.env.BENCH_ATTEMPTS ?? 6);

/**
 * Runs a turn of a benchmark while nobody else works on the machine: where others did, it runs again, after a pause, and
 * the least disturbed of all attempts counts. A turn may be repeated without harm.
 */
export const undisturbed = async <R>(turn: () => Promise<R>): Promise<Turn<R>> => {
  let best: Turn<R> | undefined;
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (attempt > 0) await sleep(1000);
    const startedMs = performance.now();
    const before = othersCpuSeconds();
    const result = await turn();
    const othersBusy = (othersCpuSeconds() - before) / ((performance.now() - startedMs) / 1000);
    if (best === undefined || othersBusy < best.othersBusy) best = { result, othersBusy: Math.max(0, othersBusy) };
    if (best.othersBusy <= tolerated) break;
  }
  if (best === undefined) throw new Error("BENCH_ATTEMPTS: expected a whole number from 1.");
  return best;
};

/** The disturbance of turns as a note; empty where there was none to speak of. */
export const disturbance = (turns: readonly { readonly othersBusy: number }[]): string => {
  const most = Math.max(...turns.map(({ othersBusy }) => othersBusy));
  return most <= tolerated ? "" : `others used up to ${most.toFixed(1)} processors`;
};

/** Processor time of all processes that are neither this one nor a server that it started. */
const othersCpuSeconds = (): number => {
  // user, nice, system, idle, iowait, irq, softirq, steal: ticks of 10 ms. What the host takes away disturbs too.
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] =
    /^cpu +(.*)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1]?.split(" ").map(Number) ?? [];
  return (user + nice + system + irq + softIrq + steal) / 100 - ownCpuSeconds();
};
