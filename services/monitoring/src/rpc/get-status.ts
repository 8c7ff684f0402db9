import type { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { Unary } from "@millrace/grpc";
import { newestEventTimes } from "../alerts/automatic-judging.ts";
import type { MonitoringRooms } from "../monitoring-rooms.ts";
import { MonitorUnknownError } from "../monitors/monitor-unknown-error.ts";
import { assembledWindows } from "../windows/list-windows.ts";

/** All watched models, or one. Records whose model could not be read stand under the empty name. */
export const getStatus =
  (rooms: MonitoringRooms): Unary<typeof MonitoringService.method.getStatus> =>
  async ({ model }) => {
    const states = await rooms.counting.states();
    await rooms.monitors.load();
    const names = new Set(rooms.monitors.models());
    for (const state of states) for (const name of Object.keys(state?.models ?? {})) names.add(name);
    if (model !== "" && !names.has(model)) throw new MonitorUnknownError("model", model);
    const unread = sumOf(states.map((state) => state?.deadLetters ?? {}));
    const labelsWithoutPrediction = states.reduce((sum, state) => sum + (state?.labelsWithoutPrediction ?? 0n), 0n);
    const newest = newestEventTimes(states);
    const chosen = model === "" ? [...names].sort() : [model];
    const models = await Promise.all(
      chosen.map(async (name) => {
        const newestUs = newest.get(name);
        const rules = rooms.monitors.rulesOf(name);
        const filter = newestUs === undefined ? {} : { fromUs: rules.calendar.windowOf(newestUs, rules.length).fromUs };
        const windows = (await assembledWindows(rooms, name, filter)).filter(({ counted }) => counted.slice === "");
        const newestWindow = windows.at(-1);
        const series = await rooms.judge.series(
          name,
          windows.map(({ counted }) => counted.packageDigest),
        );
        const counts = states.map((state) => state?.models[name]);
        return {
          model: name,
          packageDigest: newestWindow?.counted.packageDigest ?? "",
          monitor: rules.monitor,
          ...(newestWindow === undefined ? {} : { newestWindow: newestWindow.window }),
          openAlerts: [...series.values()].flatMap(({ openAlerts }) =>
            openAlerts.flatMap(({ event }) => (event === undefined ? [] : [event])),
          ),
          predictions: counts.reduce((sum, each) => sum + (each?.predictions ?? 0n), 0n),
          labels: counts.reduce((sum, each) => sum + (each?.labels ?? 0n), 0n),
          deadLetters: sumOf(counts.map((each) => each?.deadLetters ?? {})),
          labelsWithoutPrediction,
          message:
            newestWindow === undefined
              ? "No prediction of this model was counted yet."
              : newestWindow.counted.watched.message,
        };
      }),
    );
    const hasUnread = model === "" && Object.keys(unread).length > 0;
    return {
      models: hasUnread
        ? [...models, { model: "", deadLetters: unread, message: "Records whose model could not be read." }]
        : models,
    };
  };

const sumOf = (maps: readonly Readonly<Record<string, bigint>>[]): Record<string, bigint> => {
  const sums: Record<string, bigint> = {};
  for (const map of maps) for (const [name, count] of Object.entries(map)) sums[name] = (sums[name] ?? 0n) + count;
  return sums;
};
