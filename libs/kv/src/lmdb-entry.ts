const headerBytes = 8;

/** An entry as it lies in LMDB: when it is over (milliseconds since 1970 as float64, big-endian; 0: never), then the value. */
export const encodeEntry = (value: Uint8Array, expiresAtMs: number | undefined): Buffer => {
  const entry = Buffer.allocUnsafe(headerBytes + value.length);
  entry.writeDoubleBE(expiresAtMs ?? 0, 0);
  entry.set(value, headerBytes);
  return entry;
};

/** When the entry is over, in milliseconds since 1970; Infinity where it stays. */
export const expiryMs = (entry: Buffer): number => entry.readDoubleBE(0) || Number.POSITIVE_INFINITY;

/** The entry's value, without a copy; undefined where there is no entry or it is over. */
export const liveValue = (entry: Buffer | undefined, nowMs: number): Buffer | undefined =>
  entry === undefined || expiryMs(entry) <= nowMs ? undefined : entry.subarray(headerBytes);
