import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { RowCache, type RowReader } from "./row-cache.ts";

const key = (name: string): Uint8Array => new TextEncoder().encode(name);

/** A store whose rows say how often the store was asked. */
class CountingStore implements RowReader {
  asked: string[][] = [];
  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.asked.push(keys.map((each) => new TextDecoder().decode(each)));
    return keys.map((each) => (each[0] === 0x6e ? undefined : Uint8Array.of(this.asked.length)));
  }
}

const cached = (maxBytes = 10_000, maxStalenessMs = 1000) => {
  const store = new CountingStore();
  const clock = { ms: 0 };
  const registry = new Registry();
  const cache = new RowCache(store, { maxBytes, maxStalenessMs, registry, nowMs: () => clock.ms });
  const read = async (stalenessMs: number, ...names: string[]) =>
    (await cache.reader(stalenessMs).getMany(names.map(key))).map((row) => row?.[0]);
  return { store, clock, registry, read };
};

describe("a cache of rows", () => {
  test("answers a row that is as young as the caller lets it be, and asks for the others", async () => {
    const { store, clock, read } = cached();
    expect(await read(100, "a", "b")).toEqual([1, 1]);
    clock.ms = 100;
    expect(await read(100, "b", "c", "a")).toEqual([1, 2, 1]);
    expect(store.asked).toEqual([["a", "b"], ["c"]]);
    clock.ms = 101;
    expect(await read(100, "a")).toEqual([3]);
  });

  test("keeps that there is no row", async () => {
    const { store, read } = cached();
    expect(await read(100, "nobody")).toEqual([undefined]);
    expect(await read(100, "nobody")).toEqual([undefined]);
    expect(store.asked).toHaveLength(1);
  });

  test("is not asked by a caller who lets nothing be stale", async () => {
    const { read } = cached();
    expect([await read(0, "a"), await read(0, "a")]).toEqual([[1], [2]]);
  });

  test("lets no row be older than its own bound, whatever the caller allows", async () => {
    const { clock, read } = cached(10_000, 50);
    await read(60_000, "a");
    clock.ms = 51;
    expect(await read(60_000, "a")).toEqual([2]);
  });

  test("holds no more than its bytes", async () => {
    const { store, read } = cached(1000);
    for (let index = 0; index < 50; index++) await read(100, `a${index}`);
    await read(100, ...Array.from({ length: 50 }, (_, index) => `a${index}`));
    expect(store.asked.at(-1)?.length).toBeGreaterThanOrEqual(45);
  });

  test("without bytes keeps nothing", async () => {
    const { read } = cached(0);
    expect([await read(100, "a"), await read(100, "a")]).toEqual([[1], [2]]);
  });

  test("counts what came from it", async () => {
    const { registry, read } = cached();
    await read(100, "a", "b");
    await read(100, "a");
    const text = await registry.metrics();
    expect(text).toContain('millrace_feature_row_cache_reads_total{result="hit"} 1');
    expect(text).toContain('millrace_feature_row_cache_reads_total{result="miss"} 2');
  });
});
