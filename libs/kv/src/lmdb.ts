import { randomUUID } from "node:crypto";
import { bootId, type Durability, type LmdbFolder, type LmdbTable, openLmdbFolder } from "@millrace/lmdb-folder";
import { requireKeys, requireOneHashTag } from "./key.ts";
import type { ConditionalWrite, Kv, Versioned } from "./kv.ts";
import { encodeEntry, expiryMs, liveValue } from "./lmdb-entry.ts";
import { sweepExpired } from "./lmdb-sweep.ts";
import { StoreUnavailableError } from "./store-unavailable-error.ts";

export interface LmdbOptions {
  /** What an acknowledged write outlives. Default `process`. */
  readonly durability?: Durability;
  /** The clock that expiry goes by, in milliseconds since 1970. */
  readonly now?: () => number;
}

const scanPage = 512;
/** A transaction of more writes is judged on this thread instead. */
const mostNested = 200;

/** The first key after all keys that begin with the prefix; undefined where there is none. */
const afterPrefix = (prefix: Uint8Array): Buffer | undefined => {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  const end = Buffer.from(prefix.subarray(0, length));
  end.writeUInt8(end.readUInt8(length - 1) + 1, length - 1);
  return end;
};

/**
 * The key-value store in a folder of this machine. Reads are synchronous looks into mapped memory; writes run on a
 * thread of LMDB's, many in one transaction, so that the event loop never waits for the disk or for another process.
 * Several processes may have the folder open at once.
 */
class LmdbKv implements Kv {
  readonly #folder: LmdbFolder;
  readonly #entries: LmdbTable;
  readonly #incarnation: string;
  readonly #now: () => number;
  readonly #stopSweep: () => Promise<void>;
  #closed = false;

  constructor(folder: LmdbFolder, entries: LmdbTable, incarnation: string, options: LmdbOptions) {
    this.#folder = folder;
    this.#entries = entries;
    this.#incarnation = incarnation;
    this.#now = options.now ?? Date.now;
    this.#stopSweep = sweepExpired(folder, entries, this.#now);
  }

  #requireOpen(): void {
    if (this.#closed) throw new StoreUnavailableError(this.#folder.path, "it was closed");
  }

  async getMany(keys: readonly Uint8Array[], signal?: AbortSignal): Promise<(Uint8Array | undefined)[]> {
    this.#requireOpen();
    signal?.throwIfAborted();
    requireKeys(keys);
    const now = this.#now();
    // Another process may have written since this event turn began.
    this.#entries.resetReadTxn();
    const values = new Array<Uint8Array | undefined>(keys.length);
    for (let i = 0; i < keys.length; i++) values[i] = liveValue(this.#entries.getBinary(keys[i] as Buffer), now);
    return values;
  }

  async getManyVersioned(keys: readonly Uint8Array[], signal?: AbortSignal): Promise<(Versioned | undefined)[]> {
    this.#requireOpen();
    signal?.throwIfAborted();
    requireKeys(keys);
    const now = this.#now();
    this.#entries.resetReadTxn();
    return keys.map((key) => this.#live(key, now));
  }

  #live(key: Uint8Array, now: number): Versioned | undefined {
    const entry = this.#entries.getEntry(key as Buffer);
    const value = liveValue(entry?.value, now);
    return value === undefined ? undefined : { value, version: entry?.version ?? 0 };
  }

  async compareAndSetMany(writes: readonly ConditionalWrite[]): Promise<boolean[]> {
    this.#requireOpen();
    requireKeys(writes.map(({ key }) => key));
    const now = this.#now();
    this.#entries.resetReadTxn();
    const applied = await this.#guard(() => Promise.all(writes.map((write) => this.#compareAndSet(write, now))));
    return applied;
  }

  async #compareAndSet(write: ConditionalWrite, now: number): Promise<boolean> {
    const key = write.key as Buffer;
    const stored = this.#entries.getBinaryFast(key);
    // An entry that is over but not yet swept has a version of its own, which nobody may know. Rare, so it may be slow.
    if (stored !== undefined && expiryMs(stored) <= now) return this.#inTransaction([write]);
    const { expectedVersion, value } = write;
    if (value === undefined) {
      if (expectedVersion === 0) return stored === undefined;
      return this.#entries.remove(key, expectedVersion);
    }
    const bytes = encodeEntry(value, write.expiresAtMs);
    if (expectedVersion > 0) return this.#entries.put(key, bytes, expectedVersion + 1, expectedVersion);
    return this.#entries.ifNoExists(key, () => {
      this.#entries.put(key, bytes, 1);
    });
  }

  async transact(writes: readonly ConditionalWrite[]): Promise<boolean> {
    this.#requireOpen();
    requireKeys(writes.map(({ key }) => key));
    requireOneHashTag(writes);
    if (writes.length === 0) return true;
    const now = this.#now();
    this.#entries.resetReadTxn();
    const isAnyOver = writes.some(({ key }) => {
      const stored = this.#entries.getBinaryFast(key as Buffer);
      return stored !== undefined && expiryMs(stored) <= now;
    });
    return this.#guard(async () =>
      isAnyOver || writes.length > mostNested ? this.#inTransaction(writes) : this.#nested(writes),
    );
  }

  /** Each condition stands inside the one before, and all writes inside the last: LMDB's thread judges them in one go. */
  async #nested(writes: readonly ConditionalWrite[]): Promise<boolean> {
    const holds: Promise<boolean>[] = [];
    const enter = (depth: number): void => {
      const write = writes[depth];
      if (write === undefined) {
        for (const each of writes) this.#apply(each);
        return;
      }
      const inside = (): void => enter(depth + 1);
      const { key, expectedVersion } = write;
      holds[depth] =
        expectedVersion === 0
          ? this.#entries.ifNoExists(key as Buffer, inside)
          : this.#entries.ifVersion(key as Buffer, expectedVersion, inside);
    };
    enter(0);
    return (await Promise.all(holds)).every(Boolean);
  }

  #apply({ key, value, expectedVersion, expiresAtMs }: ConditionalWrite): void {
    if (value !== undefined) this.#entries.put(key as Buffer, encodeEntry(value, expiresAtMs), expectedVersion + 1);
    else this.#entries.remove(key as Buffer);
  }

  /** At once, on this thread: a transaction that waited for its turn here would hold up the writers of all processes. */
  #inTransaction(writes: readonly ConditionalWrite[]): boolean {
    return this.#entries.transactionSync(() => {
      const now = this.#now();
      for (const { key, expectedVersion } of writes) {
        if ((this.#live(key, now)?.version ?? 0) !== expectedVersion) return false;
      }
      for (const write of writes) this.#apply(write);
      return true;
    });
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw new StoreUnavailableError(this.#folder.path, "the write failed", error);
    }
  }

  async *scan(prefix: Uint8Array): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]> {
    const end = afterPrefix(prefix);
    let start: Buffer = prefix.length === 0 ? Buffer.from([0]) : Buffer.from(prefix);
    for (let exclusiveStart = false; ; exclusiveStart = true) {
      this.#requireOpen();
      this.#entries.resetReadTxn();
      const page = [
        ...this.#entries.getRange({ start, exclusiveStart, limit: scanPage, ...(end === undefined ? {} : { end }) }),
      ];
      const now = this.#now();
      for (const { key, value } of page) {
        const live = liveValue(value, now);
        if (live !== undefined) yield [key as Buffer, live];
      }
      const last = page.at(-1);
      if (last === undefined || page.length < scanPage) return;
      start = Buffer.from(last.key as Buffer);
    }
  }

  async incarnation(): Promise<string> {
    this.#requireOpen();
    return this.#incarnation;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#stopSweep();
    await this.#folder.close();
  }
}

/**
 * Opens the store in a folder, which is made where it is missing.
 * @throws FolderUnusableError where the folder cannot be made, read or written, or holds something else.
 */
export const openLmdb = async (path: string, options: LmdbOptions = {}): Promise<Kv> => {
  const folder = openLmdbFolder(path, { maxTables: 2, durability: options.durability ?? "process" });
  const entries = folder.table({ name: "entries" });
  const about = folder.table({ name: "about" });
  const name = Buffer.from("incarnation");
  await about.ifNoExists(name, () => {
    about.put(name, Buffer.from(randomUUID()), 1);
  });
  about.resetReadTxn();
  const folderId = about.get(name)?.toString() ?? "";
  // What was acknowledged and not yet on disk is gone when the machine crashed, and its next run has another boot id.
  const incarnation = options.durability === "disk" ? folderId : `${folderId}@${bootId}`;
  return new LmdbKv(folder, entries, incarnation, options);
};
