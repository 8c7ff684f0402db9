import { fromBinary } from "@bufbuild/protobuf";
import type { Profile } from "@millrace/contracts/millrace/model/v1/model_package";
import {
  type WindowCounts,
  WindowCountsSchema,
  type WindowEntry,
  WindowIndexSchema,
} from "@millrace/contracts/millrace/monitoring/v1/state";
import type { Kv } from "@millrace/kv";
import type { CalendarWindow } from "@millrace/stats";
import type { WatchRules } from "../monitors/watch-rules.ts";
import { emptyProfile, type WatchedPackage } from "../packages/watched-package.ts";
import type { WatchedPackages } from "../packages/watched-packages.ts";
import { windowIndexKey, windowKey } from "../state-keys.ts";

/** All rows of one model, package, slice and calendar window: every partition and base window together. */
export interface CountedWindow {
  readonly model: string;
  readonly packageDigest: string;
  readonly slice: string;
  readonly fromUs: bigint;
  readonly toUs: bigint;
  readonly profile: Profile;
  readonly duplicates: number;
  readonly watched: WatchedPackage;
}

export interface WindowFilter {
  readonly fromUs?: bigint | undefined;
  readonly toUs?: bigint | undefined;
  readonly packageDigest?: string | undefined;
}

/**
 * Reads the windows of a model from the store and merges the partitions' parts, always in the order of the partitions, so
 * that the same counts give the same sums.
 */
export class WindowReader {
  readonly #kv: Kv;
  readonly #packages: WatchedPackages;
  readonly #partitions: number;

  constructor(kv: Kv, packages: WatchedPackages, partitions: number) {
    this.#kv = kv;
    this.#packages = packages;
    this.#partitions = partitions;
  }

  /** Windows of the monitor's length, the oldest first; a window counts in whole where it overlaps the filter's times. */
  async read(model: string, rules: WatchRules, filter: WindowFilter = {}): Promise<CountedWindow[]> {
    const parts = new Map<
      string,
      { readonly fromUs: bigint; readonly toUs: bigint; readonly counts: WindowCounts[] }
    >();
    const index = await this.#index(model, rules, filter);
    for (let begin = 0; begin < index.length; begin += WINDOWS_A_READ) {
      const some = index.slice(begin, begin + WINDOWS_A_READ);
      const values = await this.#kv.getMany(some.map(({ partition, entry }) => windowKey(partition, entry)));
      for (const [position, { window }] of some.entries()) {
        const value = values[position];
        if (value === undefined) continue;
        const counts = fromBinary(WindowCountsSchema, value);
        const name = [window.fromUs, counts.packageDigest, counts.slice].join("\0");
        const part = parts.get(name) ?? { ...window, counts: [] };
        part.counts.push(counts);
        parts.set(name, part);
      }
    }
    const windows: CountedWindow[] = [];
    for (const { fromUs, toUs, counts } of parts.values()) {
      const [first] = counts;
      if (first === undefined) continue;
      const watched = await this.#packages.get(first.packageRepository, first.packageDigest);
      const builder = emptyProfile(watched);
      for (const { profile } of counts) if (profile !== undefined) builder.merge(profile);
      windows.push({
        model,
        packageDigest: first.packageDigest,
        slice: first.slice,
        fromUs,
        toUs,
        profile: builder.toProfile(),
        duplicates: counts.reduce((sum, { duplicates }) => sum + Number(duplicates), 0),
        watched,
      });
    }
    return windows.sort(
      (a, b) =>
        Number(a.fromUs - b.fromUs) || compareText(a.packageDigest, b.packageDigest) || compareText(a.slice, b.slice),
    );
  }

  /** What there is of a model, by partition and then by time. */
  async #index(model: string, rules: WatchRules, filter: WindowFilter) {
    const keys = Array.from({ length: this.#partitions }, (_, partition) => windowIndexKey(partition));
    const values = await this.#kv.getMany(keys);
    return values.flatMap((value, partition) => {
      const entries = value === undefined ? [] : fromBinary(WindowIndexSchema, value).windows;
      return entries
        .filter((entry) => entry.model === model)
        .map((entry) => ({ partition, entry, window: rules.calendar.windowOf(entry.fromUs, rules.length) }))
        .filter(({ entry, window }) => isAsked(entry, window, filter))
        .sort((a, b) => Number(a.entry.fromUs - b.entry.fromUs));
    });
  }
}

const isAsked = (entry: WindowEntry, window: CalendarWindow, { fromUs, toUs, packageDigest }: WindowFilter): boolean =>
  (packageDigest === undefined || entry.packageDigest === packageDigest) &&
  (fromUs === undefined || window.toUs > fromUs) &&
  (toUs === undefined || window.fromUs < toUs);

/** Windows read in one round trip: each is some 50 kB. */
const WINDOWS_A_READ = 100;

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
