import type { Kv } from "@millrace/kv";

const utf8 = new TextEncoder();
const text = new TextDecoder();
const prefix = utf8.encode("version-read/");

/** A time this much newer than what the store has is worth a write, in ms. */
const tellAfterMs = 60_000;

/**
 * When versions of feature services were last asked for by their version, over all processes. A read costs a look into a
 * map; the store is written now and then, at most once a minute a version.
 */
export class VersionReads {
  readonly #kv: Kv;
  readonly #nowMs: () => number;
  readonly #read = new Map<string, number>();
  readonly #told = new Map<string, number>();

  constructor(kv: Kv, nowMs: () => number = Date.now) {
    this.#kv = kv;
    this.#nowMs = nowMs;
  }

  note(service: string, version: string): void {
    this.#read.set(`${service}@${version}`, this.#nowMs());
  }

  /** Writes what was noted and is news. */
  async flush(): Promise<void> {
    const news = [...this.#read].filter(([id, atMs]) => atMs - (this.#told.get(id) ?? -Infinity) >= tellAfterMs);
    if (news.length === 0) return;
    const keys = news.map(([id]) => utf8.encode(`version-read/${id}`));
    const held = await this.#kv.getManyVersioned(keys);
    await this.#kv.compareAndSetMany(
      news.flatMap(([, atMs], index) => {
        const key = keys[index];
        const entry = held[index];
        if (key === undefined || (entry !== undefined && Number(text.decode(entry.value)) >= atMs)) return [];
        return [{ key, expectedVersion: entry?.version ?? 0, value: utf8.encode(String(atMs)) }];
      }),
    );
    // Where another process wrote first it wrote the same minute.
    for (const [id, atMs] of news) this.#told.set(id, atMs);
  }

  /** In ms since 1970, by `service@version`: what the store has and what this process knows beyond it. */
  async lastReads(): Promise<Map<string, number>> {
    const reads = new Map(this.#read);
    for await (const [key, value] of this.#kv.scan(prefix)) {
      const id = text.decode(key.subarray(prefix.length));
      reads.set(id, Math.max(reads.get(id) ?? 0, Number(text.decode(value))));
    }
    return reads;
  }

  /** Forgets a version, once it is dropped. */
  async forget(id: string): Promise<void> {
    this.#read.delete(id);
    this.#told.delete(id);
    const key = utf8.encode(`version-read/${id}`);
    const [entry] = await this.#kv.getManyVersioned([key]);
    if (entry !== undefined) {
      await this.#kv.compareAndSetMany([{ key, expectedVersion: entry.version, value: undefined }]);
    }
  }
}
