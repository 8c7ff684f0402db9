import type { EventLog } from "@millrace/event-log";
import type { ProgressStore } from "../stream/progress.ts";

/** Workers look for cuts several times a second; one that has not answered by then does not run. */
const longestWaitMs = 3000;
const pollMs = 20;

/** Resolves when every partition that a worker reads obeys the cut of the view. */
export async function whenCutIsKnown(
  log: EventLog,
  progress: ProgressStore,
  topic: string,
  viewId: string,
  cutUs: number,
): Promise<void> {
  const { partitions, epoch } = await log.topic(topic);
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  const untilMs = performance.now() + longestWaitMs;
  while (performance.now() < untilMs) {
    const held = await progress.read(topic, all);
    const isKnown = held.every((entry) => entry?.epoch === epoch && (entry.cuts[viewId] ?? Infinity) <= cutUs);
    if (isKnown) return;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
