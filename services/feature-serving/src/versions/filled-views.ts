import type { EventLog } from "@millrace/event-log";
import type { Kv } from "@millrace/kv";
import type { AppliedDefinitions } from "../applied-definitions.ts";
import { type MaterializationRun, readMaterializations } from "../materialize/materialization-store.ts";
import type { FillingView } from "../registry-head.ts";
import type { ProgressStore } from "../stream/progress.ts";
import { fillingId } from "./next-head.ts";

/** Records behind the end of a topic at which a view that is compared with no other one counts as caught up. */
const smallLagRecords = 1000;

interface Stores {
  readonly online: Kv;
  readonly log: EventLog;
  readonly progress: ProgressStore;
}

/**
 * The view versions that fill and have caught up, as `view@version`: in each partition they are as far as the version
 * before them, so that no answer goes back in time when they take over; and what was loaded from files into the version
 * before is loaded into them.
 */
export async function filledViews(current: AppliedDefinitions, stores: Stores): Promise<Set<string>> {
  const filled = new Set<string>();
  for (const one of current.head.filling) {
    if ((await hasHistory(one, stores)) && (await hasCaughtUp(current, one, stores))) filled.add(fillingId(one));
  }
  return filled;
}

async function hasHistory(one: FillingView, { online }: Stores): Promise<boolean> {
  const [older, newer] = await readMaterializations(online, [`${one.view}@${one.before.version}`, fillingId(one)]);
  const loaded = rangeOf(older?.materialization?.runs ?? []);
  if (loaded === undefined) return true;
  const reached = rangeOf(newer?.materialization?.runs ?? []);
  return reached !== undefined && reached.fromUs <= loaded.fromUs && reached.toUs >= loaded.toUs;
}

/** What finished runs cover together; undefined where there is none. */
function rangeOf(runs: readonly MaterializationRun[]): { readonly fromUs: number; readonly toUs: number } | undefined {
  const done = runs.filter((run) => run.done);
  if (done.length === 0) return undefined;
  return {
    fromUs: Math.min(...done.map(({ fromUs }) => fromUs ?? Number.NEGATIVE_INFINITY)),
    toUs: Math.max(...done.map(({ toUs }) => toUs ?? Number.POSITIVE_INFINITY)),
  };
}

async function hasCaughtUp(current: AppliedDefinitions, one: FillingView, stores: Stores): Promise<boolean> {
  const id = fillingId(one);
  const before = `${one.view}@${one.before.version}`;
  const topic = current.liveViews.get(id)?.view.source.stream?.topic;
  if (topic === undefined) return true;
  const isSameTopic = current.liveViews.get(before)?.view.source.stream?.topic === topic;
  const lags = await streamLags(topic, stores, [id, before]);
  if (lags === undefined) return false;
  return lags.every(([lag = 0, lagBefore = 0]) => lag <= (isSameTopic ? lagBefore : smallLagRecords));
}

/** Records that each view version has not seen, by partition; undefined where the topic is not read yet. */
export async function streamLags(
  topic: string,
  { log, progress }: Omit<Stores, "online">,
  viewIds: readonly string[],
): Promise<number[][] | undefined> {
  const { epoch } = await log.topic(topic);
  const bounds = await log.bounds(topic);
  const held = await progress.read(
    topic,
    bounds.map(({ partition }) => partition),
  );
  if (held.some((entry) => entry?.epoch !== epoch)) return undefined;
  return bounds.map(({ first, end }, index) =>
    viewIds.map((id) => Math.max(0, Number(end) - (held[index]?.positions[id] ?? Number(first)))),
  );
}
