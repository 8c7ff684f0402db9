import type { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { Unary } from "@millrace/grpc";
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
    const chosen = model === "" ? [...names].sort() : [model];
    const models = await Promise.all(
      chosen.map(async (name) => {
        const windows = (await assembledWindows(rooms, name)).filter(({ counted }) => counted.slice === "");
        const newest = windows.at(-1);
        const series = await rooms.judge.series(
          name,
          windows.map(({ counted }) => counted.packageDigest),
        );
        const counts = states.map((state) => state?.models[name]);
        return {
          model: name,
          packageDigest: newest?.counted.packageDigest ?? "",
          monitor: rooms.monitors.rulesOf(name).monitor,
          ...(newest === undefined ? {} : { newestWindow: newest.window }),
          openAlerts: [...series.values()].flatMap(({ openAlerts }) =>
            openAlerts.flatMap(({ event }) => (event === undefined ? [] : [event])),
          ),
          predictions: counts.reduce((sum, each) => sum + (each?.predictions ?? 0n), 0n),
          labels: counts.reduce((sum, each) => sum + (each?.labels ?? 0n), 0n),
          deadLetters: sumOf(counts.map((each) => each?.deadLetters ?? {})),
          labelsWithoutPrediction,
          message:
            newest === undefined ? "No prediction of this model was counted yet." : newest.counted.watched.message,
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
