import type { Window } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { MonitoringRooms } from "../monitoring-rooms.ts";
import { MonitorUnknownError } from "../monitors/monitor-unknown-error.ts";
import { type AssembledWindow, WindowAssembly } from "./assemble-window.ts";
import type { WindowFilter } from "./window-reader.ts";

/**
 * The windows of a model with their measures and alerts, the oldest first.
 * @throws MonitorUnknownError for a model of which nothing was seen and to which no monitor was applied.
 */
export const assembledWindows = async (
  { reader, judge, monitors, counting }: Pick<MonitoringRooms, "reader" | "judge" | "monitors" | "counting">,
  model: string,
  filter: WindowFilter = {},
): Promise<AssembledWindow[]> => {
  const rules = monitors.rulesOf(model);
  const counted = await reader.read(model, rules, filter);
  if (counted.length === 0 && !monitors.models().includes(model)) {
    const states = await counting.states();
    if (states.every((state) => state?.models[model] === undefined)) throw new MonitorUnknownError("model", model);
  }
  const series = await judge.series(
    model,
    counted.map(({ packageDigest }) => packageDigest),
  );
  const assembly = new WindowAssembly(rules);
  return counted.map((each) =>
    assembly.assemble(
      each,
      series.get(each.packageDigest)?.windows.find(({ fromUs, toUs }) => fromUs === each.fromUs && toUs === each.toUs),
    ),
  );
};

export const windowMessages = (windows: readonly AssembledWindow[]): Window[] => windows.map(({ window }) => window);
