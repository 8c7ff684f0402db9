/**
 * A value and the version of its entry. An entry's version is 1 when it is created and grows with every write; an absent
 * entry has version 0.
 */
export interface Versioned {
  readonly value: Uint8Array;
  readonly version: number;
}

/** One conditional write. */
export interface ConditionalWrite {
  readonly key: Uint8Array;
  /** The version that was read; 0 where the entry was absent. */
  readonly expectedVersion: number;
  /** Undefined deletes the entry. */
  readonly value: Uint8Array | undefined;
  /**
   * From when on the entry counts as absent, in milliseconds since 1970. Undefined: never. A write without it takes away
   * what an earlier write set.
   */
  readonly expiresAtMs?: number;
}

/**
 * A key-value store of bytes: the port between millrace and LMDB or Redis. One instance is one connection or one opened
 * folder; whoever opens it closes it. Every method rejects with StoreUnavailableError when the store does not answer or was
 * closed, and with KeyInvalidError for a key of no bytes or more than 1024. A write that was rejected with
 * StoreUnavailableError may have been applied all the same: read again to know. Buffers given to a call must stay
 * unchanged until it settles.
 *
 * A key may carry a hash tag in braces (`{airport:ATL}…`): keys with the same tag live on the same node of a cluster.
 */
export interface Kv {
  /**
   * Reads many entries in one round trip (one a node on a cluster). Slot i answers key i; absent is undefined, never an
   * empty value. The returned bytes belong to the caller.
   */
  getMany(keys: readonly Uint8Array[], signal?: AbortSignal): Promise<(Uint8Array | undefined)[]>;

  /** As getMany, with versions for a later compareAndSet. */
  getManyVersioned(keys: readonly Uint8Array[], signal?: AbortSignal): Promise<(Versioned | undefined)[]>;

  /**
   * Applies each write whose entry still has the expected version; each alone is atomic. Slot i is true where write i
   * was applied. Durable by the store's own policy: see `incarnation`.
   */
  compareAndSetMany(writes: readonly ConditionalWrite[]): Promise<boolean[]>;

  /**
   * Applies all writes or, when one entry has another version than expected, none; answers which it was. Rejects with
   * KeyInvalidError unless all keys carry the same hash tag and differ.
   */
  transact(writes: readonly ConditionalWrite[]): Promise<boolean>;

  /** Entries whose key begins with `prefix`, in key order where the store has one. For control paths, not for serving. */
  scan(prefix: Uint8Array): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]>;

  /**
   * Names the store's present life: another value means that writes acknowledged before may be gone (a restart with a
   * lossy append-only file, a failover, a cleared folder). Writers that commit progress elsewhere must then go back.
   */
  incarnation(): Promise<string>;

  close(): Promise<void>;
}
