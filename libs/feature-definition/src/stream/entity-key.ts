import { createHash } from "node:crypto";
import type { CompiledEntity, CompiledView, Scalar } from "../compiled.ts";
import { ByteWriter } from "./byte-writer.ts";
import { writeScalar } from "./scalar-codec.ts";

/** Used by one call at a time, from its beginning to its end. */
const keyWriter = new ByteWriter(256);

/** Keys longer than this are replaced by their SHA-256, since stores bound the length of a key. */
const longestKeyBytes = 255;

/**
 * The bytes of an entity's key values: each in the way of its declared type, strings and bytes with their length before
 * them, so that ("1", "23") and ("12", "3") differ. Undefined where a value is null: a null key is a key never seen.
 */
export function encodeEntityKey(entity: CompiledEntity, values: readonly Scalar[]): Uint8Array | undefined {
  const writer = keyWriter.reset();
  for (let index = 0; index < entity.keys.length; index++) {
    const key = entity.keys[index];
    const value = values[index];
    if (key === undefined || value === undefined || value === null) return undefined;
    writeScalar(writer, key.type, value);
  }
  const bytes = writer.finish();
  return bytes.length <= longestKeyBytes ? bytes : createHash("sha256").update(bytes).digest();
}

/** What all rows of one view version begin with in the store. */
export function viewPrefix(view: Pick<CompiledView, "name" | "version">): Uint8Array {
  return new TextEncoder().encode(`row/${view.name}/${view.version}/`);
}

/**
 * Makes the store key of a view's row: `row/<view>/<version>/{<entity>:<key bytes>}`. The braces are the hash tag, so
 * that all rows of one entity lie on one node of a cluster.
 */
export function rowKeyOf(view: CompiledView): (entityKey: Uint8Array) => Uint8Array {
  const prefix = Buffer.from(`row/${view.name}/${view.version}/{${view.entity.name}:`);
  return (entityKey) => {
    const key = Buffer.allocUnsafe(prefix.length + entityKey.length + 1);
    key.set(prefix);
    key.set(entityKey, prefix.length);
    key[key.length - 1] = 0x7d;
    return key;
  };
}
