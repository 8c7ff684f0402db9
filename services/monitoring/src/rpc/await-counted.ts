import type { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { CallContext, Unary } from "@millrace/grpc";
import { newestEventTimes } from "../alerts/automatic-judging.ts";
import type { MonitoringRooms } from "../monitoring-rooms.ts";
import { microsecondsOf } from "./timestamps.ts";

const LOOK_MS = 20;

/** Waits until everything that was logged before the call is counted, then judges the windows that have ended. */
export const awaitCounted =
  (rooms: MonitoringRooms): Unary<typeof MonitoringService.method.awaitCounted> =>
  async ({ judgeUntil, model }, call) => {
    const { counting, judge, monitors } = rooms;
    const ends = await counting.ends();
    while ((await counting.lagsBehind(ends)).length > 0) await pause(LOOK_MS, call, rooms.stopping);
    const states = await counting.states();
    const untilUs = microsecondsOf(judgeUntil);
    if (untilUs !== undefined) {
      await monitors.load();
      const models = model === "" ? [...newestEventTimes(states).keys()] : [model];
      for (const each of models) await judge.judge(each, untilUs);
    }
    let predictions = 0n;
    let labels = 0n;
    for (const state of states)
      for (const [name, counts] of Object.entries(state?.models ?? {}))
        if (model === "" || name === model) {
          predictions += counts.predictions;
          labels += counts.labels;
        }
    return { predictions, labels };
  };

const pause = async (waitMs: number, call: CallContext, stopping: AbortSignal): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, waitMs));
  call.signal.throwIfAborted();
  stopping.throwIfAborted();
};
