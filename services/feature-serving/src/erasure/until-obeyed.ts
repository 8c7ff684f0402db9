import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError, Reason } from "@millrace/errors";
import { type EventLog, TopicUnknownError } from "@millrace/event-log";
import type { CompiledView } from "@millrace/feature-definition";
import type { Kv } from "@millrace/kv";
import { readMaterializations } from "../materialize/materialization-store.ts";
import type { ProgressStore } from "../stream/progress.ts";

/** Thrown when a stream worker has not said that it obeys a tombstone: rows may come back until it does. */
export class ErasureUnconfirmedError extends MillraceError {
  constructor(topic: string) {
    super(
      "UNAVAILABLE",
      Reason.STORE_UNAVAILABLE,
      `The tombstone stands and the rows are deleted, but no stream worker has confirmed for the topic ${topic} that it writes no more of them: call again while one runs.`,
      { retryAfterMs: 1000 },
    );
  }
}

const pollMs = 50;
const workerLimitMs = 10_000;
/** A materialization writes every few seconds at most; one that does not is over, and begins again by the tombstones. */
const materializationLimitMs = 15_000;

interface Places {
  readonly online: Kv;
  readonly log: EventLog;
  readonly progress: ProgressStore;
}

/**
 * Resolves when everything that writes rows of the views obeys the tombstones of a version: what was under way before
 * has been written, and can be deleted. @throws ErasureUnconfirmedError
 */
export const untilObeyed = async (
  { online, log, progress }: Places,
  views: readonly CompiledView[],
  version: number,
  signal: AbortSignal,
): Promise<void> => {
  const topics = new Set(views.flatMap(({ source }) => source.stream?.topic ?? []));
  for (const topic of topics) {
    const partitions = await partitionsOf(log, topic);
    const isObeyed = async (): Promise<boolean> =>
      (await progress.read(topic, partitions)).every((held) => held === undefined || (held.erasures ?? 0) >= version);
    if (!(await within(workerLimitMs, isObeyed, signal))) throw new ErasureUnconfirmedError(topic);
  }
  const ids = views.map((view) => `${view.name}@${view.version}`);
  await within(
    materializationLimitMs,
    async () => {
      const held = await readMaterializations(online, ids);
      const runs = held.flatMap((entry) => entry?.materialization?.runs ?? []);
      return runs.every(({ done, erasures = 0 }) => done || erasures >= version);
    },
    signal,
  );
};

const partitionsOf = async (log: EventLog, topic: string): Promise<number[]> => {
  try {
    const { partitions } = await log.topic(topic);
    return Array.from({ length: partitions }, (_, partition) => partition);
  } catch (error) {
    // Nothing was ever appended to it.
    if (error instanceof TopicUnknownError) return [];
    throw error;
  }
};

const within = async (limitMs: number, isTrue: () => Promise<boolean>, signal: AbortSignal): Promise<boolean> => {
  const endMs = performance.now() + limitMs;
  while (!(await isTrue())) {
    signal.throwIfAborted();
    if (performance.now() > endMs) return false;
    await sleep(pollMs);
  }
  return true;
};
