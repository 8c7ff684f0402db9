import { createHash } from "node:crypto";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type FeatureRepository,
  FeatureRepositorySchema,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { MillraceError, Reason } from "@millrace/errors";
import type { ConditionalWrite, Kv } from "@millrace/kv";
import { definitionsOf, type RegistryHead } from "./registry-head.ts";

/** Thrown by Apply when somebody else applied definitions in the meantime. */
export class RegistryConflictError extends MillraceError {
  constructor(expected: number, found: number) {
    super(
      "ABORTED",
      Reason.CONFLICT,
      `The registry has version ${found}, not ${expected}: somebody else applied definitions in the meantime. Plan again.`,
      { metadata: { expectedRegistryVersion: String(expected), registryVersion: String(found) } },
    );
  }
}

/** Thrown when the registry names definitions that its store does not have. */
export class RegistryDamagedError extends MillraceError {
  constructor(hash: string) {
    super(
      "DATA_LOSS",
      Reason.STORE_UNAVAILABLE,
      `The registry names the definitions ${hash}, which its store has lost: restore the store, or delete its entry {registry}/head and apply the definitions again.`,
    );
  }
}

/** Definitions as they are stored. */
export interface StoredDefinitions {
  readonly hash: string;
  readonly bytes: Uint8Array;
}

/** What the registry holds, with the version of its head's entry: the next head must be written over this one. */
export interface HeldRegistry {
  readonly head: RegistryHead;
  readonly entryVersion: number;
}

const utf8 = new TextEncoder();
const text = new TextDecoder();
const headKey = utf8.encode("{registry}/head");
const definitionsKey = (hash: string): Uint8Array => utf8.encode(`{registry}/definitions/${hash}`);

/** Definitions in the form of the registry, named by the hash of their bytes. */
export function storedDefinitions(repository: FeatureRepository): StoredDefinitions {
  const bytes = toBinary(FeatureRepositorySchema, repository);
  return { hash: createHash("sha256").update(bytes).digest("hex"), bytes };
}

/** The applied definitions and older ones that are kept: a head that is replaced by compare-and-set, and what it names. */
export class Registry {
  readonly #kv: Kv;

  constructor(kv: Kv) {
    this.#kv = kv;
  }

  /** Undefined before the first Apply. */
  async read(): Promise<HeldRegistry | undefined> {
    const [entry] = await this.#kv.getManyVersioned([headKey]);
    if (entry === undefined) return undefined;
    const head: RegistryHead = JSON.parse(text.decode(entry.value));
    return { head, entryVersion: entry.version };
  }

  /** Slot i answers hash i; undefined where they are not held. */
  async definitions(hashes: readonly string[]): Promise<(FeatureRepository | undefined)[]> {
    const entries = await this.#kv.getMany(hashes.map(definitionsKey));
    return entries.map((bytes) => (bytes === undefined ? undefined : fromBinary(FeatureRepositorySchema, bytes)));
  }

  /**
   * Replaces the head, writes the definitions that it names and drops those that only the head before named: all of it or
   * nothing, so that a crash leaves the old registry or the new one.
   * @param before undefined where nothing was applied. @param stored must have what is not held yet.
   * @returns whether it was replaced: false where somebody else was first.
   */
  async replace(
    before: HeldRegistry | undefined,
    head: RegistryHead,
    stored: readonly StoredDefinitions[],
  ): Promise<boolean> {
    const needed = definitionsOf(head);
    const dropped = before === undefined ? [] : [...definitionsOf(before.head)].filter((hash) => !needed.has(hash));
    const hashes = [...needed, ...dropped];
    const held = await this.#kv.getManyVersioned(hashes.map(definitionsKey));
    const writes: ConditionalWrite[] = [
      { key: headKey, expectedVersion: before?.entryVersion ?? 0, value: utf8.encode(JSON.stringify(head)) },
    ];
    hashes.forEach((hash, index) => {
      const key = definitionsKey(hash);
      const expectedVersion = held[index]?.version ?? 0;
      if (!needed.has(hash)) {
        if (expectedVersion > 0) writes.push({ key, expectedVersion, value: undefined });
      } else if (expectedVersion === 0) {
        const bytes = stored.find((one) => one.hash === hash)?.bytes;
        // Somebody else dropped them meanwhile: the head has changed too.
        if (bytes !== undefined) writes.push({ key, expectedVersion, value: bytes });
      }
    });
    return this.#kv.transact(writes);
  }
}
