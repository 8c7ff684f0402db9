/**
 * What every event log has to do, as tests. An adapter of your own passes when these do:
 *
 *     eventLogContract("mine", { start: async () => ({ open: () => openMine(…), remove: async () => … }),
 *       without: { crash: "mine keeps everything in memory", breakConnection: "mine is a library" } });
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ConsumeOptions, Consumer, EventLog, LogRecord, NewRecord } from "./event-log.ts";
import { partitionOfKey } from "./murmur2.ts";

/** One log without topics, and what a test may do to it. */
export interface EventLogUnderTest {
  /** Opens the log; every opening is another connection to the same topics. The contract closes it. */
  open(): Promise<EventLog>;
  /** Ends the log as a crash would, and brings it back with what it kept. */
  crash?(): Promise<void>;
  /** Makes the log unreachable, and answers what makes it reachable again. */
  breakConnection?(): Promise<() => Promise<void>>;
  /** Stops the log and removes its data. */
  remove(): Promise<void>;
}

export interface EventLogContractOptions {
  start(): Promise<EventLogUnderTest>;
  /** What the harness cannot do, with the reason. What is neither done nor named here fails. */
  readonly without?: { readonly crash?: string; readonly breakConnection?: string };
}

const bytes = (text: string): Buffer => Buffer.from(text);
const text = (value: Uint8Array | null | undefined): string | undefined =>
  value === null || value === undefined ? undefined : Buffer.from(value).toString();
const numbered = (count: number, partition: number, from = 0): NewRecord[] =>
  Array.from({ length: count }, (_, i) => ({ value: bytes(`${from + i}`), partition }));
const unknown = { reasonName: "TOPIC_UNKNOWN", code: "NOT_FOUND" };
const unavailable = { reasonName: "LOG_UNAVAILABLE", code: "UNAVAILABLE" };
const slow = 60_000;

export const eventLogContract = (name: string, { start, without = {} }: EventLogContractOptions): void => {
  describe(`${name} is an event log that`, () => {
    let under: EventLogUnderTest;
    let log: EventLog;
    let other: EventLog;
    /** Keeps the tests apart: each has its own topic and group. */
    let topic = "";
    let tests = 0;

    beforeAll(async () => {
      under = await start();
      log = await under.open();
      other = await under.open();
    }, 120_000);
    beforeEach(() => {
      topic = `topic-${++tests}`;
    });
    afterAll(async () => {
      await log?.close();
      await other?.close();
      await under?.remove();
    }, 60_000);

    const readAll = async (partition: number, from = 0n): Promise<LogRecord[]> => {
      const records: LogRecord[] = [];
      for await (const batch of log.read(topic, { partition, offset: from })) records.push(...batch.records);
      return records;
    };

    /** Consumes into a list, and commits each batch. */
    const collect = async (
      through: EventLog,
      options: Partial<ConsumeOptions> = {},
    ): Promise<{
      readonly consumer: Consumer;
      readonly seen: LogRecord[];
      readonly assigned: () => readonly number[];
    }> => {
      const seen: LogRecord[] = [];
      let assigned: readonly number[] = [];
      const consumer = await through.consume({
        topics: [topic],
        group: `group-${topic}`,
        handler: {
          onAssigned: async (_, partitions) => {
            assigned = [...assigned, ...partitions];
            return [];
          },
          onRevoked: async (_, partitions) => {
            assigned = assigned.filter((partition) => !partitions.includes(partition));
          },
          onBatch: async (batch, consumer) => {
            seen.push(...batch.records);
            const last = batch.records.at(-1);
            if (last !== undefined)
              await consumer.commit(topic, [{ partition: batch.partition, offset: last.offset + 1n }]);
          },
        },
        ...options,
      });
      return { consumer, seen, assigned: () => assigned };
    };

    describe("has topics", () => {
      test("that are made once, and keep their partitions and epoch", async () => {
        const made = await log.ensureTopic(topic, 3);
        expect(made).toMatchObject({ name: topic, partitions: 3 });
        expect(made.epoch).not.toBe("");
        expect(await other.ensureTopic(topic, 5)).toEqual(made);
        expect(await other.topic(topic)).toEqual(made);
      });

      test(
        "which are unknown until they are made",
        async () => {
          await expect(log.topic(topic)).rejects.toMatchObject(unknown);
          await expect(log.append(topic, [{ value: bytes("a") }])).rejects.toMatchObject(unknown);
          await expect(log.bounds(topic)).rejects.toMatchObject(unknown);
          await expect(log.offsetsAt(topic, 0)).rejects.toMatchObject(unknown);
          await expect(readAll(0)).rejects.toMatchObject(unknown);
          await expect(log.deleteTopic(topic)).rejects.toMatchObject(unknown);
          await expect(collect(log)).rejects.toMatchObject(unknown);
        },
        slow,
      );

      test("whose names are of the kind that every log takes", async () => {
        const refused = { reasonName: "FIELD_INVALID", code: "INVALID_ARGUMENT" };
        for (const name of ["", ".", "a b", "a/b", "ä", "a".repeat(250)]) {
          await expect(log.ensureTopic(name, 1)).rejects.toMatchObject(refused);
        }
        await expect(log.ensureTopic(topic, 0)).rejects.toMatchObject(refused);
      });

      test(
        "that begin again at 0 in another epoch after they were deleted and made anew",
        async () => {
          const before = await log.ensureTopic(topic, 2);
          await log.append(topic, numbered(5, 1));
          await log.deleteTopic(topic);
          await expect
            .poll(() => log.topic(topic).catch((error: unknown) => error), { timeout: 10_000 })
            .toMatchObject(unknown);
          const after = await log.ensureTopic(topic, 2);
          expect(after.epoch).not.toBe(before.epoch);
          await expect
            .poll(() => log.bounds(topic), { timeout: 10_000 })
            .toEqual([
              { partition: 0, first: 0n, end: 0n },
              { partition: 1, first: 0n, end: 0n },
            ]);
          expect((await log.append(topic, numbered(1, 1)))[0]?.offset).toBe(0n);
        },
        slow,
      );
    });

    describe("appends", () => {
      test("in order, at the offsets that it answers", async () => {
        await log.ensureTopic(topic, 2);
        expect(await log.append(topic, numbered(3, 1))).toEqual(
          [0n, 1n, 2n].map((offset) => ({ partition: 1, offset })),
        );
        expect(await other.append(topic, numbered(2, 1, 3))).toEqual(
          [3n, 4n].map((offset) => ({ partition: 1, offset })),
        );
        expect(await log.append(topic, [])).toEqual([]);
        const read = await readAll(1);
        expect(read.map(({ offset, value }) => [offset, text(value)])).toEqual(
          [0, 1, 2, 3, 4].map((i) => [BigInt(i), `${i}`]),
        );
      });

      test("keys to the partition that Kafka's own client chooses", async () => {
        await log.ensureTopic(topic, 7);
        const keys = Array.from({ length: 200 }, (_, i) => bytes(`key-${i}`));
        const places = await log.append(
          topic,
          keys.map((key) => ({ key, value: key })),
        );
        expect(places.map(({ partition }) => partition)).toEqual(keys.map((key) => partitionOfKey(key, 7)));
        expect(new Set(places.map(({ partition }) => partition)).size).toBe(7);
      });

      test("keys, values and headers of any bytes, null values, and times", async () => {
        await log.ensureTopic(topic, 1);
        const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
        const records: NewRecord[] = [
          {
            key: every,
            value: Buffer.concat(Array(1000).fill(every)),
            headers: { ce_type: "a", grüße: "ö" },
            timestampMs: 1_000,
          },
          { value: null, timestampMs: 2_000 },
          { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: { empty: "" }, timestampMs: 978_307_200_000 },
        ];
        await log.append(topic, records);
        const read = await readAll(0);
        expect(read.map(({ timestampMs, headers }) => [timestampMs, headers])).toEqual([
          [1000, { ce_type: "a", grüße: "ö" }],
          [2000, {}],
          [978_307_200_000, { empty: "" }],
        ]);
        const same = (a: Uint8Array | null | undefined, b: Uint8Array | null | undefined): boolean =>
          a && b ? Buffer.from(a).equals(b) : (a ?? undefined) === (b ?? undefined);
        expect(
          read.every((record, i) => same(record.key, records[i]?.key) && same(record.value, records[i]?.value)),
        ).toBe(true);
        expect(read[1]?.value).toBe(null);
        expect(read[1]?.key).toBe(undefined);
        expect(read[2]?.value).not.toBe(null);
      });

      test("with the present time where none is given", async () => {
        await log.ensureTopic(topic, 1);
        const before = Date.now();
        await log.append(topic, [{ value: bytes("a") }]);
        const [record] = await readAll(0);
        expect(record?.timestampMs).toBeGreaterThanOrEqual(before);
        expect(record?.timestampMs).toBeLessThanOrEqual(Date.now());
      });

      test(
        "thousands at once, and from several connections at once, densely",
        async () => {
          await log.ensureTopic(topic, 2);
          const places = (
            await Promise.all([
              log.append(topic, numbered(3000, 0)),
              ...Array.from({ length: 30 }, (_, i) =>
                (i % 2 === 0 ? log : other).append(topic, numbered(7, 0, 3000 + 7 * i)),
              ),
            ])
          ).flat();
          expect(places.map(({ offset }) => Number(offset)).sort((a, b) => a - b)).toEqual(
            Array.from({ length: 3210 }, (_, i) => i),
          );
          const values = (await readAll(0)).map(({ value }) => Number(text(value)));
          expect(values.length).toBe(3210);
          expect(new Set(values).size).toBe(3210);
          const first = values.filter((value) => value < 3000);
          expect(first).toEqual([...first].sort((a, b) => a - b));
        },
        slow,
      );

      test("nothing that is malformed, and then nothing of the call", async () => {
        await log.ensureTopic(topic, 2);
        const refused = { code: "INVALID_ARGUMENT" };
        const fine = { value: bytes("fine") };
        await expect(log.append(topic, [fine, { value: null, partition: 2 }])).rejects.toMatchObject(refused);
        await expect(log.append(topic, [fine, { value: Buffer.alloc(1_000_001) }])).rejects.toMatchObject({
          ...refused,
          reasonName: "TOO_LARGE",
        });
        await expect(log.append(topic, [fine, { value: null, timestampMs: Number.NaN }])).rejects.toMatchObject(
          refused,
        );
        expect((await log.bounds(topic)).map(({ end }) => end)).toEqual([0n, 0n]);
      });
    });

    describe("reads", () => {
      test("from any offset up to the end as it was", async () => {
        await log.ensureTopic(topic, 1);
        await log.append(topic, numbered(2500, 0));
        await log.append(topic, numbered(10, 0, 2500));
        expect((await readAll(0, 1234n)).map(({ offset }) => Number(offset))).toEqual(
          Array.from({ length: 1276 }, (_, i) => 1234 + i),
        );
        expect(await readAll(0, 2510n)).toEqual([]);
        const seen: LogRecord[] = [];
        for await (const batch of log.read(topic, { partition: 0, offset: 0n })) {
          expect(batch).toMatchObject({ topic, partition: 0 });
          if (seen.length === 0) await other.append(topic, numbered(5, 0));
          seen.push(...batch.records);
        }
        expect(seen.length).toBe(2510);
      });

      test("nothing outside of what is there", async () => {
        await log.ensureTopic(topic, 1);
        await log.append(topic, numbered(3, 0));
        await expect(readAll(0, 4n)).rejects.toMatchObject({ reasonName: "OFFSET_OUT_OF_RANGE", code: "OUT_OF_RANGE" });
        await expect(readAll(1)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      });

      test("no further for a caller that gave up", async () => {
        await log.ensureTopic(topic, 1);
        await log.append(topic, numbered(3, 0));
        const reason = new Error("gave up");
        const reading = Array.fromAsync(log.read(topic, { partition: 0, offset: 0n }, AbortSignal.abort(reason)));
        await expect(reading).rejects.toBe(reason);
      });

      test(
        "its bounds, and offsets by time, whatever the order of the times",
        async () => {
          await log.ensureTopic(topic, 2);
          const times = [1000, 3000, 2000, 5000, 4000, 6000];
          for (const timestampMs of times) await log.append(topic, [{ value: null, partition: 0, timestampMs }]);
          expect(await log.bounds(topic)).toEqual([
            { partition: 0, first: 0n, end: 6n },
            { partition: 1, first: 0n, end: 0n },
          ]);
          // The slow and obvious answer: the first record that is not older.
          for (const at of [0, 1000, 1001, 2000, 3000, 3001, 5000, 5500, 6000, 6001]) {
            const found = times.findIndex((time) => time >= at);
            expect(await log.offsetsAt(topic, at)).toEqual([
              { partition: 0, offset: BigInt(found < 0 ? times.length : found) },
              { partition: 1, offset: 0n },
            ]);
          }
        },
        slow,
      );
    });

    describe("feeds groups", () => {
      test(
        "from the beginning, in order, and with what comes later",
        async () => {
          await log.ensureTopic(topic, 3);
          await log.append(
            topic,
            [0, 1, 2].flatMap((partition) => numbered(40, partition)),
          );
          const { consumer, seen } = await collect(log, { maxBatchRecords: 7 });
          await expect.poll(() => seen.length, { timeout: slow }).toBe(120);
          await other.append(
            topic,
            [0, 1, 2].flatMap((partition) => numbered(10, partition, 40)),
          );
          await expect.poll(() => seen.length, { timeout: slow }).toBe(150);
          for (const partition of [0, 1, 2]) {
            const values = seen
              .filter((record) => record.partition === partition)
              .map(({ value }) => Number(text(value)));
            expect(values).toEqual(Array.from({ length: 50 }, (_, i) => i));
          }
          await consumer.close();
          await consumer.stopped;
          expect(await log.committed(topic, `group-${topic}`)).toEqual(
            [0, 1, 2].map((partition) => ({ partition, offset: 50n })),
          );
          expect(await log.committed(topic, "another-group")).toEqual([]);
        },
        slow,
      );

      test(
        "each for itself, and each from where it had committed",
        async () => {
          await log.ensureTopic(topic, 1);
          await log.append(topic, numbered(10, 0));
          const first = await collect(log);
          await expect.poll(() => first.seen.length, { timeout: slow }).toBe(10);
          await first.consumer.close();
          await log.append(topic, numbered(5, 0, 10));
          const again = await collect(other);
          const apart = await collect(other, { group: `apart-${topic}` });
          await expect.poll(() => [again.seen.length, apart.seen.length], { timeout: slow }).toEqual([5, 15]);
          expect(again.seen.map(({ offset }) => offset)).toEqual([10n, 11n, 12n, 13n, 14n]);
          await Promise.all([again.consumer.close(), apart.consumer.close()]);
        },
        slow,
      );

      test(
        "from where the handler says, with no batch before that",
        async () => {
          await log.ensureTopic(topic, 2);
          await log.append(topic, [...numbered(20, 0), ...numbered(20, 1)]);
          const seen: LogRecord[] = [];
          const consumer = await log.consume({
            topics: [topic],
            group: `group-${topic}`,
            handler: {
              onAssigned: async (_, partitions) => {
                expect([...partitions].sort()).toEqual([0, 1]);
                return [{ partition: 1, offset: 15n }];
              },
              onBatch: async (batch) => {
                seen.push(...batch.records);
              },
            },
          });
          await expect.poll(() => seen.length, { timeout: slow }).toBe(25);
          expect(seen.filter(({ partition }) => partition === 1).map(({ offset }) => offset)).toEqual([
            15n,
            16n,
            17n,
            18n,
            19n,
          ]);
          await consumer.close();
        },
        slow,
      );

      test(
        "again from an offset that a member seeks",
        async () => {
          await log.ensureTopic(topic, 1);
          await log.append(topic, numbered(10, 0));
          const seen: bigint[] = [];
          let sought = false;
          const consumer = await log.consume({
            topics: [topic],
            group: `group-${topic}`,
            handler: {
              onBatch: async (batch, member) => {
                seen.push(...batch.records.map(({ offset }) => offset));
                if (!sought && seen.length === 10) {
                  sought = true;
                  member.seek(topic, { partition: 0, offset: 7n });
                }
              },
            },
          });
          await expect.poll(() => seen.length, { timeout: slow }).toBe(13);
          expect(seen.slice(10)).toEqual([7n, 8n, 9n]);
          await consumer.close();
        },
        slow,
      );

      test(
        "in batches that say how far the end is, are no larger than asked, and never overlap within a partition",
        async () => {
          await log.ensureTopic(topic, 2);
          await log.append(topic, [...numbered(30, 0), ...numbered(30, 1)]);
          const busy = new Set<number>();
          let overlaps = 0;
          let largest = 0;
          let records = 0;
          const consumer = await log.consume({
            topics: [topic],
            group: `group-${topic}`,
            maxBatchRecords: 4,
            handler: {
              onBatch: async (batch) => {
                if (busy.has(batch.partition)) overlaps++;
                busy.add(batch.partition);
                expect(batch.endOffset).toBe(30n);
                largest = Math.max(largest, batch.records.length);
                await new Promise((resolve) => setTimeout(resolve, 3));
                records += batch.records.length;
                busy.delete(batch.partition);
              },
            },
          });
          await expect.poll(() => records, { timeout: slow }).toBe(60);
          expect({ overlaps, largest }).toEqual({ overlaps: 0, largest: 4 });
          await consumer.close();
        },
        slow,
      );

      test("whose members share the partitions, and take over what another leaves", async () => {
        await log.ensureTopic(topic, 4);
        const a = await collect(log);
        await expect.poll(() => a.assigned().length, { timeout: slow }).toBe(4);
        const b = await collect(other);
        await expect.poll(() => [a.assigned().length, b.assigned().length], { timeout: slow }).toEqual([2, 2]);
        expect([...a.assigned(), ...b.assigned()].sort()).toEqual([0, 1, 2, 3]);
        await log.append(
          topic,
          [0, 1, 2, 3].flatMap((partition) => numbered(10, partition)),
        );
        await expect.poll(() => a.seen.length + b.seen.length, { timeout: slow }).toBe(40);
        expect([a.seen.length, b.seen.length]).toEqual([20, 20]);
        await b.consumer.close();
        expect(b.assigned()).toEqual([]);
        await expect.poll(() => a.assigned().length, { timeout: slow }).toBe(4);
        await log.append(
          topic,
          [0, 1, 2, 3].flatMap((partition) => numbered(10, partition, 10)),
        );
        await expect.poll(() => a.seen.length, { timeout: slow }).toBe(60);
        await a.consumer.close();
      }, 120_000);

      test(
        "and stops a member whose handler fails, which says so; the next goes on at the commit",
        async () => {
          await log.ensureTopic(topic, 1);
          await log.append(topic, numbered(10, 0));
          const failure = new Error("the handler fails");
          const failing = await log.consume({
            topics: [topic],
            group: `group-${topic}`,
            maxBatchRecords: 5,
            handler: {
              onBatch: async (batch, consumer) => {
                if (batch.records[0]?.offset === 5n) throw failure;
                await consumer.commit(topic, [{ partition: 0, offset: 5n }]);
              },
            },
          });
          await expect(failing.stopped).rejects.toBe(failure);
          await failing.close();
          const { consumer, seen } = await collect(log);
          await expect.poll(() => seen.map(({ offset }) => offset), { timeout: slow }).toEqual([5n, 6n, 7n, 8n, 9n]);
          await consumer.close();
        },
        slow,
      );

      test(
        "and lets a member finish its batch when it is closed",
        async () => {
          await log.ensureTopic(topic, 1);
          await log.append(topic, numbered(3, 0));
          const begun = Promise.withResolvers<void>();
          let finished = false;
          const consumer = await log.consume({
            topics: [topic],
            group: `group-${topic}`,
            handler: {
              onBatch: async (_, member) => {
                begun.resolve();
                await new Promise((resolve) => setTimeout(resolve, 100));
                await member.commit(topic, [{ partition: 0, offset: 3n }]);
                finished = true;
              },
            },
          });
          await begun.promise;
          await consumer.close();
          expect(finished).toBe(true);
          expect(await log.committed(topic, `group-${topic}`)).toEqual([{ partition: 0, offset: 3n }]);
        },
        slow,
      );
    });

    describe("crashes, is cut off or closed, and then", () => {
      test.skipIf(without.crash !== undefined)(
        `keeps everything that it had acknowledged${reason(without.crash)}`,
        async () => {
          if (under.crash === undefined) throw new Error("The harness can neither crash the log nor says why not.");
          const made = await log.ensureTopic(topic, 1);
          await log.append(topic, numbered(100, 0));
          await under.crash();
          const reopened = await under.open();
          expect(await reopened.topic(topic)).toEqual(made);
          await expect
            .poll(() => reopened.bounds(topic).catch(() => "away"), { timeout: slow })
            .toMatchObject([{ end: 100n }]);
          expect(await reopened.append(topic, numbered(1, 0))).toEqual([{ partition: 0, offset: 100n }]);
          await reopened.close();
        },
        120_000,
      );

      test.skipIf(without.breakConnection !== undefined)(
        `says so with every method, and serves again when it is back${reason(without.breakConnection)}`,
        async () => {
          if (under.breakConnection === undefined) {
            throw new Error("The harness can neither break the connection nor says why not.");
          }
          const mine = await under.open();
          await mine.ensureTopic(topic, 1);
          await mine.append(topic, numbered(3, 0));
          const mend = await under.breakConnection();
          await Promise.all(
            [
              () => mine.topic(topic),
              () => mine.append(topic, numbered(1, 0)),
              () => mine.bounds(topic),
              () => mine.offsetsAt(topic, 0),
              () => mine.committed(topic, "group"),
              () => Array.fromAsync(mine.read(topic, { partition: 0, offset: 0n })),
            ].map((call) => expect(call()).rejects.toMatchObject(unavailable)),
          );
          await mend();
          await expect
            .poll(() => mine.bounds(topic).catch(() => "away"), { timeout: slow })
            .toMatchObject([{ end: 3n }]);
          expect((await mine.append(topic, numbered(1, 0)))[0]?.offset).toBe(3n);
          await mine.close();
        },
        180_000,
      );

      test(
        "refuses further calls after close, which may be called twice",
        async () => {
          await log.ensureTopic(topic, 1);
          const mine = await under.open();
          await mine.close();
          await mine.close();
          await expect(mine.append(topic, numbered(1, 0))).rejects.toMatchObject(unavailable);
          await expect(mine.bounds(topic)).rejects.toMatchObject(unavailable);
          await expect(mine.topic(topic)).rejects.toMatchObject(unavailable);
        },
        slow,
      );
    });
  });
};

const reason = (without: string | undefined): string => (without === undefined ? "" : ` (not here: ${without})`);
