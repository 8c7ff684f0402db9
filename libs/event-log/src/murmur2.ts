/**
 * MurmurHash2, 32 bits, with the seed of Kafka's default partitioner (0x9747b28c).
 * @returns a signed 32-bit integer, as in Java. @see Austin Appleby's MurmurHash2; org.apache.kafka.common.utils.Utils.
 */
export const murmur2 = (bytes: Uint8Array): number => {
  const multiplier = 0x5bd1e995;
  const { length } = bytes;
  let hash = 0x9747b28c ^ length;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    let word =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    word = Math.imul(word, multiplier);
    word ^= word >>> 24;
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier);
  }
  const left = length - i;
  if (left === 3) hash ^= (bytes[i + 2] as number) << 16;
  if (left >= 2) hash ^= (bytes[i + 1] as number) << 8;
  if (left >= 1) hash = Math.imul(hash ^ (bytes[i] as number), multiplier);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, multiplier);
  return hash ^ (hash >>> 15);
};

/** The partition of a key, as Kafka's Java client and both adapters choose it. */
export const partitionOfKey = (key: Uint8Array, partitions: number): number => (murmur2(key) & 0x7fffffff) % partitions;
