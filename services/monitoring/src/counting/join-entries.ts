import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type JoinEntry, JoinEntrySchema } from "@millrace/contracts/millrace/monitoring/v1/state";
import type { ConditionalWrite, Kv } from "@millrace/kv";
import { joinKey } from "../state-keys.ts";

/** What is kept of the predictions and labels of one batch, read in one round trip. */
export class JoinEntries {
  readonly #partition: number;
  readonly #entries = new Map<
    string,
    { readonly version: number; value: JoinEntry | undefined; expiresAtMs: number | undefined }
  >();

  private constructor(partition: number) {
    this.#partition = partition;
  }

  static async read(kv: Kv, partition: number, ids: ReadonlySet<string>): Promise<JoinEntries> {
    const entries = new JoinEntries(partition);
    const list = [...ids];
    const stored = list.length === 0 ? [] : await kv.getManyVersioned(list.map((id) => joinKey(partition, id)));
    list.forEach((id, index) => {
      const entry = stored[index];
      entries.#entries.set(id, {
        version: entry?.version ?? 0,
        value: entry === undefined ? undefined : fromBinary(JoinEntrySchema, entry.value),
        expiresAtMs: undefined,
      });
    });
    return entries;
  }

  get(id: string): JoinEntry | undefined {
    return this.#entries.get(id)?.value;
  }

  /** @param expiresAtMs when it may be forgotten, in milliseconds since 1970. */
  set(id: string, value: JoinEntry, expiresAtMs: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new RangeError(`The join entry of ${id} was not read.`);
    entry.value = value;
    entry.expiresAtMs = expiresAtMs;
  }

  writes(): ConditionalWrite[] {
    const writes: ConditionalWrite[] = [];
    for (const [id, { version, value, expiresAtMs }] of this.#entries)
      if (expiresAtMs !== undefined && value !== undefined)
        writes.push({
          key: joinKey(this.#partition, id),
          expectedVersion: version,
          value: toBinary(JoinEntrySchema, value),
          expiresAtMs,
        });
    return writes;
  }
}
