/*
 * An entry as it lies in Redis, a string: the version as a big-endian u64, then the value. Redis keeps the expiry.
 */
const versionBytes = 8;

/** A version as its entry begins; nothing for 0, which is how Redis reads the head of an absent entry. */
export const encodeVersion = (version: number): Buffer => {
  if (version === 0) return Buffer.alloc(0);
  const bytes = Buffer.allocUnsafe(versionBytes);
  bytes.writeBigUInt64BE(BigInt(version), 0);
  return bytes;
};

export const encodeRedisEntry = (version: number, value: Uint8Array): Buffer => {
  const entry = Buffer.allocUnsafe(versionBytes + value.length);
  entry.writeBigUInt64BE(BigInt(version), 0);
  entry.set(value, versionBytes);
  return entry;
};

export const decodeVersion = (entry: Buffer): number => Number(entry.readBigUInt64BE(0));

/** The entry's value, without a copy. */
export const entryValue = (entry: Buffer): Buffer => entry.subarray(versionBytes);
