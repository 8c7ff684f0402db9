import type { LmdbFolder, LmdbTable } from "@millrace/lmdb-folder";
import { expiryMs } from "./lmdb-entry.ts";

const pageEntries = 1000;
const pauseBetweenPagesMs = 250;
const pauseBetweenRoundsMs = 60_000;

/**
 * Removes entries that are over, a page at a time, so that the load is small and even however many entries there are.
 * Every process that has the folder open sweeps: removing twice does no harm, since each removal looks again.
 * @returns stops the sweep, and resolves when no removal is under way.
 */
export const sweepExpired = (folder: LmdbFolder, entries: LmdbTable, now: () => number): (() => Promise<void>) => {
  let start = Buffer.from([0]);
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let underWay: Promise<void> = Promise.resolve();

  const sweepPage = async (): Promise<void> => {
    entries.resetReadTxn();
    const keys: Buffer[] = [];
    let seen = 0;
    for (const { key, value } of entries.getRange({ start, exclusiveStart: true, limit: pageEntries })) {
      seen++;
      start = Buffer.from(key as Buffer);
      if (expiryMs(value) <= now()) keys.push(start);
    }
    if (keys.length > 0) {
      entries.transactionSync(() => {
        for (const key of keys) {
          const entry = entries.getBinary(key);
          if (entry !== undefined && expiryMs(entry) <= now()) entries.remove(key);
        }
      });
    }
    const isRoundOver = seen < pageEntries;
    if (isRoundOver) {
      start = Buffer.from([0]);
      folder.freeDeadReaders();
    }
    if (!stopped) schedule(isRoundOver ? pauseBetweenRoundsMs : pauseBetweenPagesMs);
  };

  const schedule = (pauseMs: number): void => {
    timer = setTimeout(() => {
      underWay = sweepPage().catch(() => {
        // A full disk or a removed folder also fails the next write, which has someone to tell. The sweep tries again.
        if (!stopped) schedule(pauseBetweenRoundsMs);
      });
    }, pauseMs);
    timer.unref();
  };

  schedule(pauseBetweenPagesMs);
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await underWay;
  };
};
