import type { Kv } from "@millrace/kv";
import { LRUCache } from "lru-cache";
import { Counter, type Registry } from "prom-client";

/** What reading features needs of a store. */
export type RowReader = Pick<Kv, "getMany">;

export interface RowCacheOptions {
  /** Memory for rows, in bytes; 0 keeps none. */
  readonly maxBytes: number;
  /** How old a row may be at most, in ms, whatever a caller allows. */
  readonly maxStalenessMs: number;
  readonly registry: Registry;
  /** The present, in ms; never going back. */
  readonly nowMs?: () => number;
}

interface Kept {
  /** Undefined where the store had no row. */
  readonly row: Uint8Array | undefined;
  /** When it was asked for: what was written since is not in it. */
  readonly readAtMs: number;
}

/** What an entry takes beside key and row. A generous guess, so that the bound holds. */
const entryBytes = 200;

/**
 * Rows that were read a short while ago, for callers who say how stale an answer may be. A row is never older than the
 * caller allows; those who allow nothing read the store, and what they read is kept for others. Least recently used go
 * first.
 */
export class RowCache {
  readonly #store: RowReader;
  readonly #options: RowCacheOptions;
  readonly #nowMs: () => number;
  readonly #rows: LRUCache<string, Kept> | undefined;
  readonly #reads: Counter<"result">;

  constructor(store: RowReader, options: RowCacheOptions) {
    this.#store = store;
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    const { maxBytes } = options;
    if (maxBytes > 0) {
      this.#rows = new LRUCache({
        maxSize: maxBytes,
        maxEntrySize: maxBytes,
        sizeCalculation: ({ row }, key) => key.length + (row?.byteLength ?? 0) + entryBytes,
      });
    }
    this.#reads = new Counter({
      name: "millrace_feature_row_cache_reads_total",
      help: "Rows that callers let be stale, by whether they came from this process's cache.",
      labelNames: ["result"],
      registers: [options.registry],
    });
  }

  /** The store, as a caller reads it who lets rows be this old, in ms. */
  reader(stalenessMs: number): RowReader {
    const rows = this.#rows;
    const allowedMs = Math.min(stalenessMs, this.#options.maxStalenessMs);
    if (rows === undefined || allowedMs <= 0) return this.#store;
    return { getMany: (keys, signal) => this.#getMany(rows, keys, allowedMs, signal) };
  }

  /** Forgets all rows. */
  clear(): void {
    this.#rows?.clear();
  }

  async #getMany(
    rows: LRUCache<string, Kept>,
    keys: readonly Uint8Array[],
    allowedMs: number,
    signal: AbortSignal | undefined,
  ): Promise<(Uint8Array | undefined)[]> {
    const readAtMs = this.#nowMs();
    const names = keys.map((key) => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1"));
    const kept = names.map((name) => {
      const found = rows.get(name);
      return found !== undefined && readAtMs - found.readAtMs <= allowedMs ? found : undefined;
    });
    const missing = keys.filter((_, index) => kept[index] === undefined);
    this.#reads.inc({ result: "hit" }, keys.length - missing.length);
    this.#reads.inc({ result: "miss" }, missing.length);
    const read = missing.length === 0 ? [] : await this.#store.getMany(missing, signal);
    let next = 0;
    return kept.map((found, index) => {
      if (found !== undefined) return found.row;
      const row = read[next++];
      rows.set(names[index] ?? "", { row, readAtMs });
      return row;
    });
  }
}
