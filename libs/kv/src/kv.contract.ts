/**
 * What every key-value store has to do, as tests. An adapter of your own passes when these do:
 *
 *     kvContract("mine", { start: async () => ({ open: () => openMine(…), remove: async () => … }),
 *       without: { crash: "mine keeps everything in memory", breakConnection: "mine is a library" } });
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ConditionalWrite, Kv } from "./kv.ts";

/** One empty store, and what a test may do to it. */
export interface KvUnderTest {
  /** Opens the store; every opening is another connection to the same entries. The contract closes it. */
  open(): Promise<Kv>;
  /** Ends the store as a crash would, and brings it back with what it kept. */
  crash?(): Promise<void>;
  /** Makes the store unreachable, and answers what makes it reachable again. */
  breakConnection?(): Promise<() => Promise<void>>;
  /** Stops the store and removes its data. */
  remove(): Promise<void>;
}

export interface KvContractOptions {
  start(): Promise<KvUnderTest>;
  /** What the harness cannot do, with the reason. What is neither done nor named here fails. */
  readonly without?: { readonly crash?: string; readonly breakConnection?: string };
}

const bytes = (text: string): Buffer => Buffer.from(text);
const texts = (values: readonly (Uint8Array | undefined)[]): (string | undefined)[] =>
  values.map((value) => (value === undefined ? undefined : Buffer.from(value).toString()));
const create = (key: string, value: string, expiresAtMs?: number): ConditionalWrite => ({
  key: bytes(key),
  expectedVersion: 0,
  value: bytes(value),
  ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
});

export const kvContract = (name: string, { start, without = {} }: KvContractOptions): void => {
  describe(`${name} is a key-value store that`, () => {
    let store: KvUnderTest;
    let kv: Kv;
    let other: Kv;
    /** Keeps the tests apart: each has its own keys. */
    let at = "";
    let tests = 0;

    beforeAll(async () => {
      store = await start();
      kv = await store.open();
      other = await store.open();
    }, 60_000);
    beforeEach(() => {
      at = `{t${++tests}}`;
    });
    afterAll(async () => {
      await kv?.close();
      await other?.close();
      await store?.remove();
    }, 60_000);

    const scanned = async (prefix: Uint8Array): Promise<Map<string, string>> => {
      const found = new Map<string, string>();
      for await (const [key, value] of kv.scan(prefix)) {
        const name = Buffer.from(key).toString("latin1");
        expect(found.has(name)).toBe(false);
        found.set(name, Buffer.from(value).toString());
      }
      return found;
    };

    describe("reads", () => {
      test("each key into its own slot, absent ones as undefined, empty values as empty", async () => {
        await kv.compareAndSetMany([create(`${at}a`, "1"), create(`${at}b`, "")]);
        const keys = ["c", "b", "a", "a"].map((key) => bytes(at + key));
        expect(texts(await kv.getMany(keys))).toEqual([undefined, "", "1", "1"]);
        expect((await kv.getManyVersioned(keys)).map((entry) => entry?.version)).toEqual([undefined, 1, 1, 1]);
      });

      test("keys of many hash tags, and of none, in one call", async () => {
        const keys = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? `${at}${i}` : `${tests}{tag${i % 50}}${i}`));
        expect(await kv.compareAndSetMany(keys.map((key) => create(key, key)))).toEqual(keys.map(() => true));
        expect(texts(await kv.getMany(keys.map(bytes)))).toEqual(keys);
      });

      test("nothing for no keys", async () => {
        expect(await kv.getMany([])).toEqual([]);
        expect(await kv.getManyVersioned([])).toEqual([]);
        expect(await kv.compareAndSetMany([])).toEqual([]);
      });

      test("keys and values of any bytes", async () => {
        const key = Buffer.concat([bytes(at), Buffer.from(Array.from({ length: 256 }, (_, i) => i))]);
        const value = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 256));
        await kv.compareAndSetMany([{ key, expectedVersion: 0, value }]);
        const [read] = await kv.getMany([key]);
        expect(value.equals(read ?? Buffer.alloc(0))).toBe(true);
      });

      test("bytes that belong to the caller", async () => {
        await kv.compareAndSetMany([create(`${at}a`, "same")]);
        const [read] = await kv.getMany([bytes(`${at}a`)]);
        read?.fill(0);
        expect(texts(await kv.getMany([bytes(`${at}a`)]))).toEqual(["same"]);
      });

      test("what another connection has just written", async () => {
        await other.compareAndSetMany([create(`${at}a`, "1")]);
        expect(texts(await kv.getMany([bytes(`${at}a`)]))).toEqual(["1"]);
      });

      test("nothing for a caller that gave up", async () => {
        const reason = new Error("gave up");
        await expect(kv.getMany([bytes(`${at}a`)], AbortSignal.abort(reason))).rejects.toBe(reason);
      });

      test.each([0, 1025])("no key of %d bytes", async (length) => {
        const refused = { reasonName: "FIELD_INVALID", code: "INVALID_ARGUMENT" };
        await expect(kv.getMany([Buffer.alloc(length, 65)])).rejects.toMatchObject(refused);
      });
    });

    describe("compares and sets", () => {
      test("each write by itself: those whose entry has another version are refused", async () => {
        const a = bytes(`${at}a`);
        expect(await kv.compareAndSetMany([create(`${at}a`, "1"), create(`${at}b`, "1")])).toEqual([true, true]);
        const writes = [
          { key: a, expectedVersion: 0, value: bytes("made again") },
          { key: bytes(`${at}b`), expectedVersion: 1, value: bytes("2") },
          { key: bytes(`${at}c`), expectedVersion: 7, value: bytes("never made") },
        ];
        expect(await kv.compareAndSetMany(writes)).toEqual([false, true, false]);
        const read = await kv.getManyVersioned(writes.map(({ key }) => key));
        expect(read.map((entry) => entry?.version)).toEqual([1, 2, undefined]);
        expect(texts(read.map((entry) => entry?.value))).toEqual(["1", "2", undefined]);
      });

      test("a deletion like any write, after which the entry is absent", async () => {
        const key = bytes(`${at}a`);
        await kv.compareAndSetMany([create(`${at}a`, "1")]);
        expect(await kv.compareAndSetMany([{ key, expectedVersion: 2, value: undefined }])).toEqual([false]);
        expect(await kv.compareAndSetMany([{ key, expectedVersion: 1, value: undefined }])).toEqual([true]);
        expect(await kv.getMany([key])).toEqual([undefined]);
        expect(await kv.compareAndSetMany([{ key, expectedVersion: 1, value: bytes("2") }])).toEqual([false]);
        expect(await kv.compareAndSetMany([create(`${at}a`, "2")])).toEqual([true]);
      });

      test("versions that grow with every write", async () => {
        const key = bytes(`${at}a`);
        for (let version = 0; version < 300; version += 1) {
          const [applied] = await kv.compareAndSetMany([{ key, expectedVersion: version, value: bytes(`${version}`) }]);
          expect(applied).toBe(true);
          if (version % 100 === 0) expect((await kv.getManyVersioned([key]))[0]?.version).toBe(version + 1);
        }
      });

      test("so that counters incremented over two connections lose nothing", async () => {
        const keys = Array.from({ length: 20 }, (_, i) => bytes(`${at}${i}`));
        const rounds = 25;
        const incrementAll = async (connection: Kv): Promise<void> => {
          for (let round = 0; round < rounds; round++) {
            let left = keys;
            while (left.length > 0) {
              const read = await connection.getManyVersioned(left);
              const applied = await connection.compareAndSetMany(
                left.map((key, i) => {
                  const count = Number(Buffer.from(read[i]?.value ?? bytes("0")).toString());
                  return { key, expectedVersion: read[i]?.version ?? 0, value: bytes(`${count + 1}`) };
                }),
              );
              left = left.filter((_, i) => applied[i] !== true);
            }
          }
        };
        await Promise.all([incrementAll(kv), incrementAll(other)]);
        expect(texts(await kv.getMany(keys))).toEqual(keys.map(() => `${2 * rounds}`));
      }, 30_000);
    });

    describe("transacts", () => {
      test("all writes or none", async () => {
        await kv.compareAndSetMany([create(`${at}a`, "1")]);
        const a = (expectedVersion: number): ConditionalWrite => ({
          key: bytes(`${at}a`),
          expectedVersion,
          value: bytes("2"),
        });
        expect(await kv.transact([create(`${at}b`, "1"), a(5)])).toBe(false);
        expect(texts(await kv.getMany([bytes(`${at}a`), bytes(`${at}b`)]))).toEqual(["1", undefined]);
        expect(await kv.transact([create(`${at}b`, "1"), a(1)])).toBe(true);
        expect(texts(await kv.getMany([bytes(`${at}a`), bytes(`${at}b`)]))).toEqual(["2", "1"]);
        expect(await kv.transact([{ ...a(2), value: undefined }, create(`${at}c`, "1")])).toBe(true);
        expect(texts(await kv.getMany([bytes(`${at}a`), bytes(`${at}c`)]))).toEqual([undefined, "1"]);
      });

      test("nothing, which succeeds", async () => {
        expect(await kv.transact([])).toBe(true);
      });

      test("never over keys of different hash tags, or one key twice", async () => {
        const refused = { reasonName: "FIELD_INVALID", code: "INVALID_ARGUMENT" };
        await expect(kv.transact([create("{x}a", "1"), create("{y}a", "1")])).rejects.toMatchObject(refused);
        await expect(kv.transact([create(`${at}a`, "1"), create(`${at}a`, "2")])).rejects.toMatchObject(refused);
      });

      test("while others do, and loses nothing", async () => {
        const keys = [bytes(`${at}a`), bytes(`${at}b`)];
        const add = async (connection: Kv): Promise<void> => {
          for (let done = 0; done < 20; ) {
            const read = await connection.getManyVersioned(keys);
            const writes = keys.map((key, i) => ({
              key,
              expectedVersion: read[i]?.version ?? 0,
              value: bytes(`${Number(Buffer.from(read[i]?.value ?? bytes("0")).toString()) + 1}`),
            }));
            if (await connection.transact(writes)) done++;
          }
        };
        await Promise.all([add(kv), add(other)]);
        expect(texts(await kv.getMany(keys))).toEqual(["40", "40"]);
      }, 30_000);
    });

    describe("lets entries expire", () => {
      const passed = async (timeMs: number): Promise<void> => {
        while (Date.now() <= timeMs + 20) await new Promise((resolve) => setTimeout(resolve, 10));
      };

      test("at their time, after which they are absent to reads, scans and conditions", async () => {
        const overAtMs = Date.now() + 300;
        await kv.compareAndSetMany([create(`${at}a`, "1", overAtMs), create(`${at}b`, "1", overAtMs + 600_000)]);
        expect(texts(await kv.getMany([bytes(`${at}a`), bytes(`${at}b`)]))).toEqual(["1", "1"]);
        await passed(overAtMs);
        expect(texts(await kv.getMany([bytes(`${at}a`), bytes(`${at}b`)]))).toEqual([undefined, "1"]);
        expect([...(await scanned(bytes(at))).keys()]).toEqual([`${at}b`]);
        expect(await kv.compareAndSetMany([{ key: bytes(`${at}a`), expectedVersion: 1, value: bytes("2") }])).toEqual([
          false,
        ]);
        expect(await kv.compareAndSetMany([create(`${at}a`, "3")])).toEqual([true]);
        expect((await kv.getManyVersioned([bytes(`${at}a`)]))[0]?.version).toBe(1);
      });

      test("unless a later write takes the time away", async () => {
        const overAtMs = Date.now() + 300;
        await kv.compareAndSetMany([create(`${at}a`, "1", overAtMs)]);
        await kv.compareAndSetMany([{ key: bytes(`${at}a`), expectedVersion: 1, value: bytes("2") }]);
        await passed(overAtMs);
        expect(texts(await kv.getMany([bytes(`${at}a`)]))).toEqual(["2"]);
      });

      test("at once, where the time has already passed", async () => {
        expect(await kv.compareAndSetMany([create(`${at}a`, "1", 1000)])).toEqual([true]);
        expect(await kv.getMany([bytes(`${at}a`)])).toEqual([undefined]);
        expect(await kv.transact([create(`${at}a`, "2")])).toBe(true);
      });
    });

    describe("scans", () => {
      test("every entry of a prefix once, and no other", async () => {
        const keys = Array.from({ length: 2500 }, (_, i) => `${at}*?[${i}`);
        await kv.compareAndSetMany([
          ...keys.map((key) => create(key, key)),
          create(`${at}x`, "x"),
          create(`${at}*`, "x"),
        ]);
        const found = await scanned(bytes(`${at}*?[`));
        expect(found).toEqual(new Map(keys.map((key) => [key, key])));
      });

      test("prefixes of any bytes", async () => {
        const prefix = Buffer.concat([bytes(at), Buffer.from([0xff, 0xff])]);
        await kv.compareAndSetMany([{ key: prefix, expectedVersion: 0, value: bytes("1") }, create(`${at}a`, "2")]);
        expect([...(await scanned(prefix)).values()]).toEqual(["1"]);
        expect(await scanned(bytes(`${at}none`))).toEqual(new Map());
      });
    });

    describe("has an incarnation that", () => {
      test("is the same for all, and stays", async () => {
        const incarnation = await kv.incarnation();
        expect(incarnation).not.toBe("");
        expect(await other.incarnation()).toBe(incarnation);
        expect(await kv.incarnation()).toBe(incarnation);
      });

      test.skipIf(without.crash !== undefined)(
        `changes where a crash may have lost what was acknowledged${reason(without.crash)}`,
        async () => {
          if (store.crash === undefined) throw new Error("The harness can neither crash the store nor says why not.");
          const before = await kv.incarnation();
          await kv.compareAndSetMany([create(`${at}a`, "1")]);
          await store.crash();
          const reopened = await whenItIsBack(() => store.open());
          const [read] = await whenItIsBack(() => reopened.getMany([bytes(`${at}a`)]));
          const isThere = read !== undefined;
          const isSame = (await whenItIsBack(() => reopened.incarnation())) === before;
          await reopened.close();
          expect(isThere || !isSame).toBe(true);
        },
        60_000,
      );
    });

    describe("is closed or cut off, and then", () => {
      const unavailable = { reasonName: "STORE_UNAVAILABLE", code: "UNAVAILABLE" };

      test.skipIf(without.breakConnection !== undefined)(
        `says so with every method, and serves again when it is back${reason(without.breakConnection)}`,
        async () => {
          if (store.breakConnection === undefined) {
            throw new Error("The harness can neither break the connection nor says why not.");
          }
          const mine = await store.open();
          await mine.compareAndSetMany([create(`${at}a`, "1")]);
          const mend = await store.breakConnection();
          const key = bytes(`${at}a`);
          await expect(mine.getMany([key])).rejects.toMatchObject(unavailable);
          await expect(mine.getManyVersioned([key])).rejects.toMatchObject(unavailable);
          await expect(mine.compareAndSetMany([create(`${at}b`, "1")])).rejects.toMatchObject(unavailable);
          await expect(mine.transact([create(`${at}b`, "1")])).rejects.toMatchObject(unavailable);
          await expect(mine.incarnation()).rejects.toMatchObject(unavailable);
          await expect(Array.fromAsync(mine.scan(key))).rejects.toMatchObject(unavailable);
          await mend();
          await expect.poll(() => mine.getMany([key]).then(texts, () => "away"), { timeout: 20_000 }).toEqual(["1"]);
          await mine.close();
        },
        90_000,
      );

      test("refuses further calls after close, which may be called twice", async () => {
        const mine = await store.open();
        await mine.close();
        await mine.close();
        await expect(mine.getMany([bytes("a")])).rejects.toMatchObject(unavailable);
        await expect(mine.compareAndSetMany([create("a", "1")])).rejects.toMatchObject(unavailable);
      });
    });
  });
};

/** The first answer that is no failure. A store that came back may need a moment. */
const whenItIsBack = async <T>(call: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
};

const reason = (without: string | undefined): string => (without === undefined ? "" : ` (not here: ${without})`);
