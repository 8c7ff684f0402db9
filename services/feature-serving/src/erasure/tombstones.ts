import { createHmac, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Kv } from "@millrace/kv";

/** An entity that was erased: what became known of it up to then is hidden. It is named by a keyed hash of its keys. */
interface Tombstone {
  readonly entity: string;
  readonly hash: string;
  readonly erasedAtUs: number;
}

/** Tombstones as they travel to a thread. */
export interface TombstoneData {
  readonly version: number;
  readonly secret: string;
  readonly tombstones: readonly Tombstone[];
}

const utf8 = new TextEncoder();
const text = new TextDecoder();
const secretKey = utf8.encode("{erasure}/secret");
const versionKey = utf8.encode("{erasure}/version");
const prefix = utf8.encode("{erasure}/tombstone/");
const tombstoneKey = (entity: string, hash: string): Uint8Array => utf8.encode(`{erasure}/tombstone/${entity}/${hash}`);

const pollMs = 200;

/**
 * The tombstones of erased entities, in the registry's store: never a key, only a hash of it by a secret of the store.
 * They are applied wherever facts become rows or training sets, so that a replay brings nothing back.
 */
export class Tombstones {
  readonly #kv: Kv | undefined;
  #secret: Buffer | undefined;
  #version = 0;
  #byEntity: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map();

  /** @param kv undefined for a copy in a thread, which never changes. */
  constructor(kv: Kv | undefined) {
    this.#kv = kv;
  }

  static of({ version, secret, tombstones }: TombstoneData): Tombstones {
    const copy = new Tombstones(undefined);
    copy.#take(version, Buffer.from(secret, "hex"), tombstones);
    return copy;
  }

  /** Grows with every erasure. */
  get version(): number {
    return this.#version;
  }

  data(): TombstoneData {
    const tombstones = [...this.#byEntity].flatMap(([entity, times]) =>
      Array.from(times, ([hash, erasedAtUs]) => ({ entity, hash, erasedAtUs })),
    );
    return { version: this.#version, secret: this.#secret?.toString("hex") ?? "", tombstones };
  }

  /** Whether any entity of the name was erased. */
  hasAny(entity: string): boolean {
    return this.#byEntity.has(entity);
  }

  /** When an entity was erased, by the bytes of its keys (`encodeEntityKey`); undefined where it was not. */
  erasedAtUs(entity: string, entityKey: Uint8Array): number | undefined {
    const times = this.#byEntity.get(entity);
    return times === undefined || this.#secret === undefined
      ? undefined
      : times.get(hashOf(this.#secret, entity, entityKey));
  }

  /** Whether a fact that became known then is hidden. */
  hides(entity: string, entityKey: Uint8Array, createdAtUs: number): boolean {
    return createdAtUs <= (this.erasedAtUs(entity, entityKey) ?? Number.NEGATIVE_INFINITY);
  }

  /** When the entity of a receipt was erased for the last time; undefined where its tombstone is gone. */
  erasedAtUsOf(entity: string, hash: string): number | undefined {
    return this.#byEntity.get(entity)?.get(hash);
  }

  /** Whether a receipt is about the entity with these keys. */
  isOf(hash: string, entity: string, entityKey: Uint8Array): boolean {
    return this.#secret !== undefined && hashOf(this.#secret, entity, entityKey) === hash;
  }

  /** Has what the store has. Answers whether that changed. */
  async refresh(): Promise<boolean> {
    const kv = this.#kv;
    if (kv === undefined) return false;
    const [version, secret] = await kv.getMany([versionKey, secretKey]);
    const found = version === undefined ? 0 : Number(text.decode(version));
    if (found === this.#version || secret === undefined) return false;
    const tombstones: Tombstone[] = [];
    for await (const [key, value] of kv.scan(prefix)) {
      const [entity = "", hash = ""] = text.decode(key.subarray(prefix.length)).split("/");
      tombstones.push({ entity, hash, erasedAtUs: Number(text.decode(value)) });
    }
    this.#take(found, Buffer.from(secret), tombstones);
    return true;
  }

  /** Refreshes until it is stopped. */
  async watch(signal: AbortSignal, onChange: () => void, onError: (error: unknown) => void): Promise<void> {
    while (!signal.aborted) {
      await this.refresh().then((isChanged) => {
        if (isChanged) onChange();
      }, onError);
      await sleep(pollMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Erases an entity up to a time. Resolves when the store has it, with the hash that names it from now on. */
  async add(entity: string, entityKey: Uint8Array, erasedAtUs: number): Promise<{ hash: string; version: number }> {
    const kv = this.#kv;
    if (kv === undefined) throw new TypeError("A copy of the tombstones takes no more.");
    for (;;) {
      await kv.compareAndSetMany([{ key: secretKey, expectedVersion: 0, value: randomBytes(32) }]);
      const [secret] = await kv.getMany([secretKey]);
      if (secret === undefined) continue;
      const hash = hashOf(Buffer.from(secret), entity, entityKey);
      const key = tombstoneKey(entity, hash);
      const [held, counted] = await kv.getManyVersioned([key, versionKey]);
      const version = counted === undefined ? 1 : Number(text.decode(counted.value)) + 1;
      const latestUs = Math.max(erasedAtUs, held === undefined ? 0 : Number(text.decode(held.value)));
      const isWritten = await kv.transact([
        { key, expectedVersion: held?.version ?? 0, value: utf8.encode(String(latestUs)) },
        { key: versionKey, expectedVersion: counted?.version ?? 0, value: utf8.encode(String(version)) },
      ]);
      if (!isWritten) continue;
      await this.refresh();
      return { hash, version };
    }
  }

  #take(version: number, secret: Buffer, tombstones: readonly Tombstone[]): void {
    const byEntity = new Map<string, Map<string, number>>();
    for (const { entity, hash, erasedAtUs } of tombstones) {
      const times = byEntity.get(entity) ?? new Map<string, number>();
      byEntity.set(entity, times.set(hash, erasedAtUs));
    }
    this.#secret = secret;
    this.#version = version;
    this.#byEntity = byEntity;
  }
}

const hashOf = (secret: Buffer, entity: string, entityKey: Uint8Array): string =>
  createHmac("sha256", secret).update(entity).update("/").update(entityKey).digest("hex");
