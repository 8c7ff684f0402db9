import { createHash } from "node:crypto";
import type { MillraceError } from "@millrace/errors";
import { Cluster, type Redis } from "ioredis";
import { hashTag, requireKeys, requireOneHashTag } from "./key.ts";
import type { ConditionalWrite, Kv, Versioned } from "./kv.ts";
import { connectionOf, untilReady } from "./redis-connection.ts";
import { decodeVersion, encodeRedisEntry, encodeVersion, entryValue } from "./redis-entry.ts";
import { RedisMget } from "./redis-mget.ts";
import { compareAndSetScript, transactScript } from "./redis-scripts.ts";
import { type RedisSettings, readRedisUrl } from "./redis-url.ts";
import { StoreUnavailableError } from "./store-unavailable-error.ts";
import { StoreUnsuitableError } from "./store-unsuitable-error.ts";

const writesPerScript = 200;
const scanCount = 1000;
/** The longest that a call waits for its answers. */
const callTimeoutMs = 5000;

type Script = (keyCount: number, ...keysAndArguments: Buffer[]) => Promise<unknown>;
type Connection = (Redis | Cluster) & {
  readonly millraceCompareAndSet: Script;
  readonly millraceTransact: Script;
};

const nothing = Buffer.alloc(0);

/** The store on Redis 6.2 or newer, alone or as a cluster. */
class RedisKv implements Kv {
  readonly #connection: Connection;
  readonly #settings: RedisSettings;
  readonly #prefix: Buffer;

  constructor(connection: Connection, settings: RedisSettings) {
    this.#connection = connection;
    this.#settings = settings;
    this.#prefix = Buffer.from(settings.prefix);
  }

  #name(key: Uint8Array): Buffer {
    // The client takes a Uint8Array that is no Buffer for text, and would store it under its printed numbers.
    const bytes = Buffer.isBuffer(key) ? key : Buffer.from(key.buffer, key.byteOffset, key.byteLength);
    return this.#prefix.length === 0 ? bytes : Buffer.concat([this.#prefix, bytes]);
  }

  async getMany(keys: readonly Uint8Array[], signal?: AbortSignal): Promise<(Uint8Array | undefined)[]> {
    const entries = await this.#entries(keys, signal);
    return entries.map((entry) => (entry === null ? undefined : entryValue(entry)));
  }

  async getManyVersioned(keys: readonly Uint8Array[], signal?: AbortSignal): Promise<(Versioned | undefined)[]> {
    const entries = await this.#entries(keys, signal);
    return entries.map((entry) =>
      entry === null ? undefined : { value: entryValue(entry), version: decodeVersion(entry) },
    );
  }

  async #entries(keys: readonly Uint8Array[], signal: AbortSignal | undefined): Promise<(Buffer | null)[]> {
    signal?.throwIfAborted();
    requireKeys(keys);
    if (keys.length === 0) return [];
    return untilAborted(
      this.#guard(async () => {
        if (!(this.#connection instanceof Cluster)) {
          const command = new RedisMget(keys, this.#prefix);
          this.#connection.sendCommand(command);
          return command.entries();
        }
        const entries = new Array<Buffer | null>(keys.length).fill(null);
        // All are sent before the first answer is awaited: the commands of a node share its round trip.
        await Promise.all(
          this.#byHashTag(keys).map(async (slots) => {
            const found = await this.#connection.mgetBuffer(slots.map((slot) => this.#name(keys[slot] as Buffer)));
            for (let i = 0; i < slots.length; i++) entries[slots[i] as number] = found[i] ?? null;
          }),
        );
        return entries;
      }),
      signal,
    );
  }

  /** Places of keys that certainly live on one node of a cluster, together. */
  #byHashTag(keys: readonly Uint8Array[]): number[][] {
    const groups = new Map<string, number[]>();
    for (let i = 0; i < keys.length; i++) {
      const tag = Buffer.from(hashTag(keys[i] as Uint8Array)).toString("latin1");
      const group = groups.get(tag);
      if (group === undefined) groups.set(tag, [i]);
      else group.push(i);
    }
    return [...groups.values()];
  }

  async compareAndSetMany(writes: readonly ConditionalWrite[]): Promise<boolean[]> {
    const keys = writes.map(({ key }) => key);
    requireKeys(keys);
    const together = this.#settings.isCluster ? this.#byHashTag(keys) : [keys.map((_, i) => i)];
    const applied = new Array<boolean>(writes.length).fill(false);
    await this.#guard(() =>
      Promise.all(
        together.flatMap(inChunks).map(async (slots) => {
          const chunk = slots.map((slot) => writes[slot] as ConditionalWrite);
          const answer = (await this.#connection.millraceCompareAndSet(
            chunk.length,
            ...this.#arguments(chunk),
          )) as number[];
          for (let i = 0; i < slots.length; i++) applied[slots[i] as number] = answer[i] === 1;
        }),
      ),
    );
    return applied;
  }

  async transact(writes: readonly ConditionalWrite[]): Promise<boolean> {
    requireKeys(writes.map(({ key }) => key));
    requireOneHashTag(writes);
    if (writes.length === 0) return true;
    const answer = await this.#guard(() =>
      this.#connection.millraceTransact(writes.length, ...this.#arguments(writes)),
    );
    return answer === 1;
  }

  #arguments(writes: readonly ConditionalWrite[]): Buffer[] {
    const keys = writes.map(({ key }) => this.#name(key));
    const others = writes.flatMap(({ expectedVersion, value, expiresAtMs }) => [
      encodeVersion(expectedVersion),
      value === undefined ? nothing : encodeRedisEntry(expectedVersion + 1, value),
      expiresAtMs === undefined ? nothing : Buffer.from(`${Math.max(1, Math.ceil(expiresAtMs))}`),
    ]);
    return [...keys, ...others];
  }

  async *scan(prefix: Uint8Array): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]> {
    const pattern = matching(this.#name(prefix));
    // A scan may name a key twice; this is what is bounded only by the number of keys, on a control path.
    const seen = new Set<string>();
    for (const node of await this.#guard(() => this.#masters())) {
      let cursor = "0";
      do {
        const [next, found] = await this.#guard(() => scanPage(node, cursor, pattern));
        cursor = next.toString();
        const keys = found.filter((key) => {
          const name = key.toString("latin1");
          return seen.has(name) ? false : seen.add(name);
        });
        const entries = await this.#guard(() => Promise.all(keys.map((key) => this.#connection.getBuffer(key))));
        for (let i = 0; i < keys.length; i++) {
          const entry = entries[i];
          if (entry) yield [(keys[i] as Buffer).subarray(this.#prefix.length), entryValue(entry)];
        }
      } while (cursor !== "0");
    }
  }

  /** The nodes that hold entries. All of them: a cluster that lacks some is not available. */
  async #masters(): Promise<Redis[]> {
    if (!(this.#connection instanceof Cluster)) return [this.#connection];
    const masters = this.#connection.nodes("master");
    const states = await Promise.all(masters.map((node) => node.cluster("INFO")));
    if (states.length === 0 || !states.every((state) => field(state, "cluster_state") === "ok")) {
      throw new Error("parts of the cluster are missing");
    }
    return masters;
  }

  async incarnation(): Promise<string> {
    const lives = await this.#guard(async () =>
      Promise.all(
        (await this.#masters()).map(async (node) => {
          // Asked together, since rows wait for the answer. Eviction may have been set since the connection was made.
          const [server, replication] = await Promise.all([
            node.info("server"),
            node.info("replication"),
            refuseEviction(node, this.#settings),
          ]);
          const about = `${server}\n${replication}`;
          // The process, and the history of writes that it continues: a restart changes the first, a failover both.
          return ["run_id", "master_replid", "role"].map((name) => field(about, name)).join("/");
        }),
      ),
    );
    return lives.length === 1 ? (lives[0] ?? "") : createHash("sha256").update(lives.sort().join()).digest("hex");
  }

  async close(): Promise<void> {
    try {
      await this.#connection.quit();
    } catch {
      // A server that does not answer cannot be told; the connection is given up below.
    }
    this.#connection.disconnect();
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error(`no answer within ${callTimeoutMs} ms`)), callTimeoutMs);
    try {
      return await Promise.race([work(), late.promise]);
    } catch (error) {
      throw unavailable(this.#settings, error);
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * A Redis that evicts drops entries silently when its memory is full: a row would begin anew, and count from zero.
 * @throws StoreUnsuitableError
 */
const refuseEviction = async (node: Redis, { shownAs }: RedisSettings): Promise<void> => {
  const memory = await node.info("memory");
  const policy = field(memory, "maxmemory_policy");
  if (Number(field(memory, "maxmemory")) > 0 && policy !== "noeviction") {
    throw new StoreUnsuitableError(
      shownAs,
      `it evicts entries when its memory is full (maxmemory-policy ${policy}); set the policy noeviction`,
    );
  }
};

const unavailable = (settings: RedisSettings, error: unknown): MillraceError => {
  if (error instanceof StoreUnsuitableError) return error;
  const isReply = error instanceof Error && error.name === "ReplyError";
  // A reply begins with a word of Redis's own, such as READONLY, LOADING or WRONGPASS; the rest may name keys.
  const code = isReply ? (/^[A-Z]+/.exec(error.message)?.[0] ?? "ERR") : undefined;
  const why = code === undefined ? "it does not answer" : `it refused with ${code}`;
  return new StoreUnavailableError(settings.shownAs, why, error);
};

const inChunks = (slots: readonly number[]): number[][] =>
  Array.from({ length: Math.ceil(slots.length / writesPerScript) }, (_, i) =>
    slots.slice(i * writesPerScript, (i + 1) * writesPerScript),
  );

const field = (info: string, name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "";

/** One step of a scan. The typed form takes patterns of text only; keys are bytes. */
const scanPage = async (node: Redis, cursor: string, pattern: Buffer): Promise<[next: Buffer, keys: Buffer[]]> =>
  (await node.callBuffer("SCAN", cursor, "MATCH", pattern, "COUNT", scanCount)) as [Buffer, Buffer[]];

const globSigns = new Set(Buffer.from("*?[]^\\"));

/** A glob that matches what begins with the bytes. */
const matching = (prefix: Buffer): Buffer =>
  Buffer.from([...[...prefix].flatMap((byte) => (globSigns.has(byte) ? [0x5c, byte] : [byte])), 0x2a]);

const untilAborted = async <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
  if (signal === undefined) return work;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    // Whoever gave up does not hear how it ended.
    work.catch(() => undefined);
  }
};

/**
 * Opens Redis by URL, and fails at once where it does not answer.
 * @throws StoreUrlInvalidError, StoreUnavailableError, StoreUnsuitableError
 */
export const openRedis = async (url: string): Promise<Kv> => {
  const settings = readRedisUrl(url);
  const connection = connectionOf(settings);
  // Each command that a broken connection concerns is rejected by itself; a connection comes back by itself.
  connection.on("error", () => undefined);
  connection.defineCommand("millraceCompareAndSet", { lua: compareAndSetScript });
  connection.defineCommand("millraceTransact", { lua: transactScript });
  try {
    await untilReady(connection);
    await connection.ping();
    const nodes = connection instanceof Cluster ? connection.nodes("master") : [connection];
    await Promise.all(nodes.map((node) => refuseEviction(node, settings)));
  } catch (error) {
    connection.disconnect();
    throw unavailable(settings, error);
  }
  return new RedisKv(connection as Connection, settings);
};
