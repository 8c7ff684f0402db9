import { KeyInvalidError } from "./key-invalid-error.ts";
import type { ConditionalWrite } from "./kv.ts";

/** The longest key that every adapter takes. */
export const maxKeyBytes = 1024;

const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * The part of a key that decides its node on a cluster, by Redis Cluster's rule: what stands between the first `{` and
 * the next `}`, where that is not empty; else the whole key.
 */
export const hashTag = (key: Uint8Array): Uint8Array => {
  const start = key.indexOf(openBrace);
  if (start < 0) return key;
  const end = key.indexOf(closeBrace, start + 1);
  return end <= start + 1 ? key : key.subarray(start + 1, end);
};

/** @throws KeyInvalidError for a key of no bytes or more than `maxKeyBytes`. */
export const requireKeys = (keys: readonly Uint8Array[]): void => {
  for (let i = 0; i < keys.length; i++) {
    const bytes = keys[i]?.length ?? 0;
    if (bytes === 0 || bytes > maxKeyBytes) {
      throw new KeyInvalidError(`keys[${i}]`, `1 to ${maxKeyBytes} bytes`, `${bytes} bytes`);
    }
  }
};

/** @throws KeyInvalidError where a transaction's keys differ in their hash tag, or one of them stands twice. */
export const requireOneHashTag = (writes: readonly ConditionalWrite[]): void => {
  const [first] = writes;
  if (first === undefined) return;
  const expected = Buffer.from(hashTag(first.key));
  const seen = new Set<string>();
  for (let i = 0; i < writes.length; i++) {
    const key = writes[i]?.key ?? new Uint8Array();
    const tag = hashTag(key);
    if (!expected.equals(tag)) {
      throw new KeyInvalidError(
        `writes[${i}].key`,
        `the hash tag ${JSON.stringify(expected.toString())} of the first write`,
        JSON.stringify(Buffer.from(tag).toString()),
      );
    }
    const name = Buffer.from(key).toString("latin1");
    if (seen.has(name)) throw new KeyInvalidError(`writes[${i}].key`, "each key once", "a key for the second time");
    seen.add(name);
  }
};
