import type { ShardState } from "@millrace/contracts/millrace/monitoring/v1/state";
import type { Counting } from "../counting/counting.ts";
import type { Monitors } from "../monitors/monitors.ts";
import type { Judge } from "./judge.ts";

const LENGTH_US = { "1h": 3_600_000_000n, "1d": 86_400_000_000n, "7d": 604_800_000_000n } as const;

/**
 * Judges windows as they settle. Time is that of the events: a window is settled when a prediction of the same model
 * came that is later than its end by the monitor's `settle`, and everything logged by then is counted. Only where the
 * newest prediction is less than a window old by the clock does the clock count too, so that the last window of live
 * traffic that stopped is judged; a replay of old events never sees it.
 */
export class AutomaticJudging {
  readonly #counting: Counting;
  readonly #monitors: Monitors;
  readonly #judge: Judge;
  readonly #intervalMs: number;
  readonly #nowMs: () => number;
  readonly #judgedUntil = new Map<string, bigint>();

  constructor(parts: {
    readonly counting: Counting;
    readonly monitors: Monitors;
    readonly judge: Judge;
    readonly intervalMs: number;
    readonly nowMs: () => number;
  }) {
    this.#counting = parts.counting;
    this.#monitors = parts.monitors;
    this.#judge = parts.judge;
    this.#intervalMs = parts.intervalMs;
    this.#nowMs = parts.nowMs;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look();
      await pause(this.#intervalMs, signal);
    }
  }

  /** Judges what has settled by now. */
  async look(): Promise<void> {
    await this.#monitors.load();
    const lags = await this.#counting.lags();
    if (lags.length > 0) return;
    for (const [model, newestUs] of newestEventTimes(await this.#counting.states())) {
      const rules = this.#monitors.rulesOf(model);
      const nowUs = BigInt(this.#nowMs()) * 1000n;
      const isLive = nowUs > newestUs && nowUs - newestUs < LENGTH_US[rules.length];
      const settledUs = (isLive ? nowUs : newestUs) - rules.settleUs;
      // The window of this instant is open; all before it have ended.
      const { fromUs } = rules.calendar.windowOf(settledUs, rules.length);
      if (this.#judgedUntil.get(model) === fromUs) continue;
      await this.#judge.judge(model, fromUs);
      this.#judgedUntil.set(model, fromUs);
    }
  }
}

/** The newest event time by model, over all partitions. */
export const newestEventTimes = (states: readonly (ShardState | undefined)[]): ReadonlyMap<string, bigint> => {
  const newest = new Map<string, bigint>();
  for (const state of states)
    for (const [model, { newestEventTimeUs, predictions }] of Object.entries(state?.models ?? {})) {
      const known = newest.get(model);
      if (predictions > 0n && (known === undefined || newestEventTimeUs > known)) newest.set(model, newestEventTimeUs);
    }
  return newest;
};

const pause = (waitMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, waitMs);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
