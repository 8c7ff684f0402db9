import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  WindowCountsSchema,
  WindowEntrySchema,
  type WindowIndex,
  WindowIndexSchema,
} from "@millrace/contracts/millrace/monitoring/v1/state";
import type { ConditionalWrite, Kv } from "@millrace/kv";
import type { ProfileBuilder } from "@millrace/stats";
import { emptyProfile, type WatchedPackage } from "../packages/watched-package.ts";
import { type WindowName, windowIndexKey, windowKey } from "../state-keys.ts";

/** The counts of one window of one partition, in memory. */
export interface WindowSlot {
  readonly name: WindowName;
  readonly key: Uint8Array;
  readonly repository: string;
  readonly builder: ProfileBuilder;
  version: number;
  duplicates: number;
  changed: boolean;
}

/** Windows kept in memory between batches; those used the longest ago go first, and are read again when needed. */
const KEPT = 64;

/** The windows of one partition that are being counted, read from the store when first needed. */
export class WindowSlots {
  readonly #kv: Kv;
  readonly #partition: number;
  readonly #slots = new Map<string, WindowSlot>();
  #index: { readonly value: WindowIndex; version: number; changed: boolean } | undefined;

  constructor(kv: Kv, partition: number) {
    this.#kv = kv;
    this.#partition = partition;
  }

  async get(name: WindowName, repository: string, watched: WatchedPackage): Promise<WindowSlot> {
    const key = windowKey(this.#partition, name);
    const text = Buffer.from(key).toString("latin1");
    const kept = this.#slots.get(text);
    if (kept !== undefined) {
      this.#slots.delete(text);
      this.#slots.set(text, kept);
      return kept;
    }
    const [entry] = await this.#kv.getManyVersioned([key]);
    const builder = emptyProfile(watched);
    const stored = entry === undefined ? undefined : fromBinary(WindowCountsSchema, entry.value);
    if (stored?.profile !== undefined) builder.merge(stored.profile);
    if (entry === undefined) await this.#enter(name);
    const slot = {
      name,
      key,
      repository: stored?.packageRepository ?? repository,
      builder,
      version: entry?.version ?? 0,
      duplicates: Number(stored?.duplicates ?? 0n),
      changed: false,
    };
    this.#slots.set(text, slot);
    return slot;
  }

  /** The repository of the package by which a window was counted; empty where it was never counted. */
  async repositoryOf(name: WindowName): Promise<string> {
    const key = windowKey(this.#partition, name);
    const kept = this.#slots.get(Buffer.from(key).toString("latin1"));
    if (kept !== undefined) return kept.repository;
    const [value] = await this.#kv.getMany([key]);
    return value === undefined ? "" : fromBinary(WindowCountsSchema, value).packageRepository;
  }

  /** One write for each changed window. */
  writes(): ConditionalWrite[] {
    const index = this.#index;
    const indexWrites =
      index?.changed !== true
        ? []
        : [
            {
              key: windowIndexKey(this.#partition),
              expectedVersion: index.version,
              value: toBinary(WindowIndexSchema, index.value),
            },
          ];
    const windowWrites = this.#changed().map(({ name, key, repository, builder, version, duplicates }) => ({
      key,
      expectedVersion: version,
      value: toBinary(
        WindowCountsSchema,
        create(WindowCountsSchema, {
          ...name,
          packageRepository: repository,
          profile: builder.toProfile(),
          duplicates: BigInt(duplicates),
        }),
      ),
    }));
    return [...indexWrites, ...windowWrites];
  }

  /** Puts a new window into the index, which is written with its first counts. */
  async #enter(name: WindowName): Promise<void> {
    if (this.#index === undefined) {
      const [entry] = await this.#kv.getManyVersioned([windowIndexKey(this.#partition)]);
      const value = entry === undefined ? create(WindowIndexSchema) : fromBinary(WindowIndexSchema, entry.value);
      this.#index = { value, version: entry?.version ?? 0, changed: false };
    }
    this.#index.value.windows.push(create(WindowEntrySchema, name));
    this.#index.changed = true;
  }

  /** The writes were applied. */
  applied(): void {
    if (this.#index?.changed === true) {
      this.#index.version++;
      this.#index.changed = false;
    }
    for (const slot of this.#changed()) {
      slot.version++;
      slot.changed = false;
    }
    for (const text of this.#slots.keys()) {
      if (this.#slots.size <= KEPT) break;
      this.#slots.delete(text);
    }
  }

  /** Forgets all of it: what is in memory may differ from the store. */
  clear(): void {
    this.#slots.clear();
    this.#index = undefined;
  }

  #changed(): WindowSlot[] {
    return [...this.#slots.values()].filter(({ changed }) => changed);
  }
}
