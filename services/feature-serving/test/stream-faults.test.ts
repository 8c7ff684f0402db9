import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type BackingServer, hasBacking, startKafka, startRedis } from "@millrace/backing";
import { DeadLetterSchema } from "@millrace/contracts/millrace/event/v1/event";
import { type EventLog, openEventLog } from "@millrace/event-log";
import { compileRepository } from "@millrace/feature-definition";
import { type Kv, openKv } from "@millrace/kv";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { assembleDefinitions } from "../src/applied-definitions.ts";
import { Catalogue } from "../src/catalogue.ts";
import { Tombstones } from "../src/erasure/tombstones.ts";
import { Registry } from "../src/registry.ts";
import { ProgressStore } from "../src/stream/progress.ts";
import { StreamWorker } from "../src/stream/stream-worker.ts";
import { headAfterApply } from "../src/versions/next-head.ts";
import { arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, type ProcessStores, startFeatureServing } from "./feature-serving-process.ts";
import { compareWithUndisturbedFold } from "./undisturbed-fold.ts";

const startUs = Date.UTC(2001, 0, 15) * 1000;
const minute = 60_000_000;
const seed = Number(process.env.MILLRACE_SEED ?? Math.floor(Math.random() * 2 ** 31));

function seeded(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Ties, late ones, some too late, some from the future, some without a key, some that are no JSON. */
function randomRecords(random: (below: number) => number, count: number) {
  const text = new TextEncoder();
  return Array.from({ length: count }, (_, index) => {
    const airport = random(50) === 0 ? null : `A${random(12)}`;
    const arrivedAt = startUs + index * 700_000 - random(4) * random(90) * minute;
    const skews = [0, 0, 0, 30 * minute, 26 * 60 * minute, -3 * minute, -9 * minute];
    const row = {
      airport,
      carrier: random(airport === null ? 2 : 40) === 0 ? null : random(5),
      delay: random(9) === 0 ? null : random(300) / 7,
      arrived_at: Math.floor(arrivedAt / minute) * minute,
      received_at: Math.floor(arrivedAt / minute) * minute + (skews[random(skews.length)] ?? 0),
    };
    const value = random(100) === 0 ? "{not json" : JSON.stringify(row);
    return { ...(airport === null ? {} : { key: text.encode(airport) }), value: text.encode(value) };
  });
}

interface Harness {
  readonly stores: ProcessStores;
  remove(): Promise<void>;
}

function embedded(): Promise<Harness> {
  const folder = mkdtempSync(join(tmpdir(), "stream-faults-"));
  const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };
  return Promise.resolve({ stores, remove: async () => rmSync(folder, { recursive: true }) });
}

describe.each([{ name: "LMDB and the embedded log", start: embedded, needs: [] as const }])(
  `the stream worker on $name (seed ${seed})`,
  { timeout: 240_000 },
  ({ start }) => faults(start),
);

describe.skipIf(!hasBacking("redis", "kafka"))(
  `the stream worker on Redis and Kafka (seed ${seed})`,
  { timeout: 300_000 },
  () => {
    let redis: BackingServer;
    let kafka: BackingServer;
    beforeAll(async () => {
      [redis, kafka] = await Promise.all([startRedis(), startKafka()]);
    }, 120_000);
    afterAll(async () => {
      await Promise.all([redis.remove(), kafka.remove()]);
    });
    const onServers = async (): Promise<Harness> => ({
      stores: { onlineStoreUrl: redis.url, eventLogUrl: kafka.url, dataRoot: tmpdir() },
      remove: async () => undefined,
    });
    faults(onServers, {
      // Kafka gives a killed member half a minute before it hands its partitions on: once is enough.
      kills: [0.3],
      killStore: async () => {
        await redis.kill();
        await redis.start();
      },
      repartition: async (topic, count) => {
        const admin = new Kafka({ brokers: [`127.0.0.1:${kafka.port}`], logLevel: logLevel.NOTHING }).admin();
        await admin.connect();
        await admin.createPartitions({ topicPartitions: [{ topic, count }] });
        await admin.disconnect();
      },
      fillStore: () => {
        const limit = (bytes: string) =>
          execFileSync("redis-cli", ["-p", String(redis.port), "config", "set", "maxmemory", bytes]);
        limit("1mb");
        return () => limit("0");
      },
    });
  },
);

function faults(
  start: () => Promise<Harness>,
  more: {
    readonly killStore?: () => Promise<void>;
    /** Has the store refuse writes until what it returns is called. */
    readonly fillStore?: () => () => void;
    readonly repartition?: (topic: string, count: number) => Promise<void>;
    readonly kills?: readonly number[];
  } = {},
): void {
  let harness: Harness;
  let online: Kv;
  let log: EventLog;
  let registry: Registry;
  let service: FeatureServingProcess | undefined;
  const random = seeded(seed);
  const total = 4000;

  beforeAll(async () => {
    harness = await start();
    online = await openKv(harness.stores.onlineStoreUrl);
    log = await openEventLog(harness.stores.eventLogUrl);
    registry = new Registry(online);
  }, 60_000);
  afterAll(async () => {
    await log.close();
    await online.close();
    await harness.remove();
  });

  let topic = "";
  let repository = arrivalsRepository();
  let compiled = compileRepository(repository);

  /** Another topic, and no rows, for each test. */
  beforeEach(async () => {
    topic = `arrivals-${randomUUID()}`;
    repository = arrivalsRepository({ topic });
    compiled = compileRepository(repository);
    for (const prefix of ["row/", "progress/"]) {
      for await (const [key] of online.scan(new TextEncoder().encode(prefix))) {
        const [entry] = await online.getManyVersioned([key]);
        await online.compareAndSetMany([{ key, expectedVersion: entry?.version ?? 0, value: undefined }]);
      }
    }
    await log.ensureTopic(topic, 3);
  }, 60_000);
  afterEach(async () => {
    await service?.kill();
    service = undefined;
  });

  const append = async (count: number) => {
    const records = randomRecords(random, count);
    for (let at = 0; at < count; at += 500) await log.append(topic, records.slice(at, at + 500));
  };

  const worker = (group: string) =>
    new StreamWorker({
      online,
      log,
      catalogue: new Catalogue(registry),
      group,
      topicPartitions: 3,
      rewindMs: 60_000,
      schemas: { schema: async () => undefined },
      tombstones: new Tombstones(online),
      onApplied: () => undefined,
      onTrouble: (message) => console.log(message),
    });

  const applied = async (group: string, share = 1) => {
    const progress = new ProgressStore(online, group);
    const ids = [...compiled.views.values()].map(({ name, version }) => `${name}@${version}`);
    const bounds = await log.bounds(topic);
    for (;;) {
      const held = await progress.read(
        topic,
        bounds.map(({ partition }) => partition),
      );
      const isDone = bounds.every(({ end }, index) =>
        ids.every((id) => (held[index]?.positions[id] ?? 0) >= Number(end) * share),
      );
      if (isDone) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  const next = () => ({ declared: repository, compiled, revision: "", nowMs: Date.now() });

  const definitions = () => {
    const { head } = headAfterApply(undefined, next());
    return assembleDefinitions({ head, entryVersion: 1 }, new Map([[head.definitions, next()]]));
  };

  const expectUndisturbed = async () => {
    const { rows, differences } = await compareWithUndisturbedFold(compiled, "arrivals", log, online);
    expect(rows).toBeGreaterThan(20);
    expect(differences).toEqual([]);
  };

  test("serves what one undisturbed fold of the topic gives, and tells of every record it cannot use", async () => {
    await append(total);
    const one = worker("one");
    await one.configure(definitions());
    await applied("one");
    await one.close();
    await expectUndisturbed();
    const reasons = new Map<string, number>();
    const [bounds] = await log.bounds(`${topic}.dead-letters`);
    for await (const batch of log.read(`${topic}.dead-letters`, { partition: 0, offset: bounds?.first ?? 0n })) {
      for (const { value } of batch.records) {
        const letter = fromBinary(DeadLetterSchema, value ?? new Uint8Array(0));
        expect(letter.topic).toBe(topic);
        reasons.set(letter.reason, (reasons.get(letter.reason) ?? 0) + 1);
      }
    }
    expect([...reasons.keys()].sort()).toEqual(["FROM_THE_FUTURE", "KEY_NULL", "MALFORMED", "TOO_LATE"]);
    const counts = one.counts.snapshot();
    const told = [...reasons.values()].reduce((sum, count) => sum + count, 0);
    expect(Object.values(counts.deadLetters).reduce((sum, count) => sum + count, 0)).toBe(told);
  });

  test("gives equal values when two writers apply the same topic at once", async () => {
    await append(total);
    const writers = [worker("left"), worker("right")];
    await Promise.all(writers.map((writer) => writer.configure(definitions())));
    await Promise.all([applied("left"), applied("right")]);
    await Promise.all(writers.map((writer) => writer.close()));
    await expectUndisturbed();
  });

  test("gives equal values when the worker is killed again and again in the middle", async () => {
    const { head, stored } = headAfterApply(undefined, next());
    expect(await registry.replace(await registry.read(), head, stored)).toBe(true);
    await append(total / 2);
    const flags = ["--role", "stream", "--stream-group", "killed"];
    service = await startFeatureServing(harness.stores, flags);
    for (const share of more.kills ?? [0.1, 0.6]) {
      await append(total / 4);
      await applied("killed", share);
      await service.kill();
      service = await startFeatureServing(harness.stores, flags);
    }
    await applied("killed");
    const code = await service.stop();
    service = undefined;
    expect(code).toBe(0);
    await expectUndisturbed();
  });

  const { killStore, fillStore, repartition } = more;
  if (killStore === undefined || fillStore === undefined || repartition === undefined) return;

  test("gives equal values when a topic of 3 partitions gets 6", async () => {
    await append(total / 2);
    const one = worker("repartitioned");
    await one.configure(definitions());
    await applied("repartitioned", 0.3);
    await repartition(topic, 6);
    // By another log: ours still knows of three, until it asks again.
    const other = await openEventLog(harness.stores.eventLogUrl);
    const records = randomRecords(random, total / 2);
    const partitions = new Set<number>();
    for (let at = 0; at < records.length; at += 500) {
      for (const { partition } of await other.append(topic, records.slice(at, at + 500))) partitions.add(partition);
    }
    await other.close();
    expect([...partitions].some((partition) => partition >= 3)).toBe(true);
    await applied("repartitioned");
    const isSpread = async () =>
      (await log.append(topic, randomRecords(random, 50))).some(({ partition }) => partition >= 3);
    await expect.poll(isSpread, { timeout: 30_000, interval: 1000 }).toBe(true);
    await applied("repartitioned");
    await one.close();
    await expectUndisturbed();
  });

  test("waits while the store is full, loses nothing, and gives equal values when there is room again", async () => {
    await append(total / 2);
    const one = worker("full");
    await one.configure(definitions());
    await applied("full", 0.3);
    const mend = fillStore();
    await append(total / 2);
    const isDone = applied("full").then(() => true);
    expect(await Promise.race([isDone, new Promise((resolve) => setTimeout(() => resolve(false), 3000))])).toBe(false);
    mend();
    await isDone;
    await one.close();
    await expectUndisturbed();
  });

  test("gives equal values when the store loses its last writes", async () => {
    await append(total / 2);
    const one = worker("lossy");
    await one.configure(definitions());
    await applied("lossy", 0.3);
    await killStore();
    await append(total / 2);
    await applied("lossy");
    await one.close();
    await expectUndisturbed();
  });
}
