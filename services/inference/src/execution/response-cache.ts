import { createHash } from "node:crypto";
import type { Tensor } from "@millrace/tensor";
import { LRUCache } from "lru-cache";
import type { AnswerPlace } from "./answer-order.ts";
import { add, type ModelStatistics } from "./model-statistics.ts";

export interface ResponseCacheOptions {
  /** Memory for the outputs that are kept, in bytes. */
  readonly maxBytes: number;
  /** How long they are kept, in ms, rounded to whole ones, at least 1; undefined: until others push them out. */
  readonly timeToLiveMs: number | undefined;
}

interface CacheRequest {
  readonly inputs: readonly Tensor[];
  readonly rows: number;
  readonly place: AnswerPlace | undefined;
}

const readOrForfeit = <R>(
  kept: readonly Tensor[],
  read: (outputs: readonly Tensor[]) => R,
  place: AnswerPlace | undefined,
): R => {
  try {
    return read(kept);
  } catch (error) {
    place?.forfeit();
    throw error;
  }
};

/** What an entry takes beside the bytes of its tensors: key, names, shapes. A generous guess, so that the bound holds. */
const entryBytes = 512;

/**
 * Outputs of a model by the inputs that they were given for: names, datatypes, shapes and bytes, as a SHA-256 hash. All
 * outputs are kept, so that requests that ask for some of them are served by one entry. Least recently used go first.
 */
export class ResponseCache {
  readonly #entries: LRUCache<string, readonly Tensor[]>;

  constructor({ maxBytes, timeToLiveMs }: ResponseCacheOptions) {
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      maxEntrySize: maxBytes,
      sizeCalculation: (tensors) => tensors.reduce((sum, { data }) => sum + data.byteLength, entryBytes),
      ...(timeToLiveMs === undefined ? {} : { ttl: Math.max(1, Math.round(timeToLiveMs)) }),
    });
  }

  /**
   * Answers from what is kept, or runs and keeps.
   * @param place where answers leave in order: an answer that is kept leaves through it. A run has to do so itself.
   * @param run is given what reads the outputs of the run and keeps them.
   */
  async answer<R>(
    { inputs, rows, place }: CacheRequest,
    statistics: ModelStatistics,
    read: (outputs: readonly Tensor[]) => R,
    run: (keepAndRead: (outputs: readonly Tensor[]) => R) => Promise<R>,
  ): Promise<R> {
    const startedMs = performance.now();
    const key = this.keyOf(inputs);
    const kept = this.get(key);
    const lookupNs = (performance.now() - startedMs) * 1e6;
    if (kept !== undefined) {
      const answer = readOrForfeit(kept, read, place);
      if (place !== undefined) await new Promise<void>((resolve) => place.settle(resolve));
      statistics.hit(rows, lookupNs, (performance.now() - startedMs) * 1e6);
      return answer;
    }
    add(statistics.cacheMiss, 1, lookupNs);
    return run((outputs) => {
      const keepMs = performance.now();
      this.set(key, outputs);
      add(statistics.cacheMiss, 0, (performance.now() - keepMs) * 1e6);
      return read(outputs);
    });
  }

  keyOf(inputs: readonly Tensor[]): string {
    const hash = createHash("sha256");
    for (const { name, datatype, shape, data } of inputs) {
      hash.update(`${name.length}:${name},${datatype},${shape.join("x")},${data.byteLength};`).update(data);
    }
    return hash.digest("base64");
  }

  get(key: string): readonly Tensor[] | undefined {
    return this.#entries.get(key);
  }

  /** Keeps a copy. What is larger than all of the memory is not kept. */
  set(key: string, outputs: readonly Tensor[]): void {
    this.#entries.set(
      key,
      outputs.map((output) => ({ ...output, data: output.data.slice() })),
    );
  }

  get bytes(): number {
    return this.#entries.calculatedSize;
  }
}
