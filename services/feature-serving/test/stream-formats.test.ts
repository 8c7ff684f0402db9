import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromJson, type JsonObject } from "@bufbuild/protobuf";
import { type BackingServer, hasBacking, startKafka, startRedis } from "@millrace/backing";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { GetFeaturesRequestSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { type EventLog, openEventLog } from "@millrace/event-log";
import avro from "avsc";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

const noon = Date.UTC(2026, 0, 5, 12);

const rideSchema = {
  type: "record",
  name: "Ride",
  fields: [
    { name: "rider", type: "string" },
    { name: "fare", type: ["null", "double"], default: null },
    { name: "at", type: { type: "long", logicalType: "timestamp-millis" } },
  ],
} as const;
const rideWriter = avro.Type.forSchema(rideSchema as unknown as avro.Schema, { wrapUnions: "never" });

/**
 * The part of the schema registry's documented API that readers use. The registries that speak it are not to be had as
 * one program with nothing else beside it.
 */
const startRegistry = async () => {
  let isAway = false;
  const authorizations = new Set<string | undefined>();
  const server = createServer((request, response) => {
    authorizations.add(request.headers.authorization);
    const isKnown = request.url === "/schemas/ids/7";
    response.writeHead(isAway ? 503 : isKnown ? 200 : 404, {
      "content-type": "application/vnd.schemaregistry.v1+json",
    });
    response.end(JSON.stringify(isKnown ? { schema: JSON.stringify(rideSchema) } : { error_code: 40_403 }));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The registry has no port.");
  return {
    url: `http://reader:se%40cret@127.0.0.1:${address.port}`,
    authorizations,
    away: (value: boolean) => {
      isAway = value;
    },
    stop: () => server.close(),
  };
};

describe.skipIf(!hasBacking("redis", "kafka"))(
  "streams of Kafka in other forms than JSON",
  { timeout: 120_000 },
  () => {
    const folder = mkdtempSync(join(tmpdir(), "formats-"));
    const topics = { rides: `rides-${randomUUID()}`, riders: `riders-${randomUUID()}` };
    let servers: BackingServer[] = [];
    let registry: Awaited<ReturnType<typeof startRegistry>>;
    let service: FeatureServingProcess;
    let log: EventLog;

    beforeAll(async () => {
      registry = await startRegistry();
      servers = await Promise.all([startRedis(), startKafka()]);
      const [redis, kafka] = servers;
      const stores = { onlineStoreUrl: redis?.url ?? "", eventLogUrl: kafka?.url ?? "", dataRoot: folder };
      service = await startFeatureServing(stores, ["--schema-registry-url", registry.url]);
      log = await openEventLog(stores.eventLogUrl);
      const timed = [{ name: "at", type: "TIMESTAMP" }];
      const definitions: JsonObject = {
        entities: [{ name: "rider", keys: [{ name: "rider", type: "STRING" }] }],
        sources: [
          {
            name: "rides",
            fields: [{ name: "rider", type: "STRING" }, { name: "fare", type: "DOUBLE" }, ...timed],
            eventTime: "at",
            createdAt: "at",
            stream: { topic: topics.rides, format: "AVRO", framing: "SCHEMA_REGISTRY" },
          },
          {
            name: "riders",
            fields: [
              { name: "rider", type: "STRING" },
              { name: "home", type: "STRING" },
              { name: "gone", type: "BOOL" },
              ...timed,
            ],
            eventTime: "at",
            createdAt: "at",
            deleted: "gone",
            stream: { topic: topics.riders, format: "JSON", envelope: "DEBEZIUM" },
          },
        ],
        featureViews: [
          {
            name: "spent",
            entity: "rider",
            source: "rides",
            aggregates: [{ name: "sum_1h", function: "SUM", of: "fare", window: "1h" }],
          },
          { name: "profile", entity: "rider", source: "riders", features: [{ name: "home" }] },
        ],
        featureServices: [{ name: "rider_v1", features: ["spent.*", "profile.*"] }],
      };
      await service.client.apply({ repository: fromJson(FeatureRepositorySchema, definitions) });
    }, 120_000);
    afterAll(async () => {
      await service.stop();
      await log.close();
      for (const server of servers) await server.remove();
      registry.stop();
      rmSync(folder, { recursive: true });
    });

    const ride = (rider: string, fare: number, schema = 7): { key: Uint8Array; value: Uint8Array } => {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(schema, 1);
      const value = Buffer.concat([head, rideWriter.toBuffer({ rider, fare, at: noon })]);
      return { key: Buffer.from(rider), value };
    };

    const served = async (
      rider: string,
    ): Promise<readonly [spent: number, home: string, statuses: readonly number[]]> => {
      const answer = await service.client.getFeatures(
        create(GetFeaturesRequestSchema, {
          selection: { case: "featureService", value: "rider_v1" },
          entities: [{ name: "rider", values: { values: { case: "strings", value: { values: [rider] } } } }],
          atUs: [BigInt(noon + 60_000) * 1000n],
        }),
      );
      const [spent, home] = answer.features.map(({ values }) => values?.values);
      return [
        spent?.case === "doubles" ? (spent.value.values[0] ?? Number.NaN) : Number.NaN,
        home?.case === "strings" ? (home.value.values[0] ?? "") : "",
        answer.features.map(({ statuses }) => statuses[0] ?? 0),
      ];
    };

    test("in Avro are read by the schemas of the registry; what has none there is a dead letter", async () => {
      await log.append(topics.rides, [
        ride("ada", 2),
        ride("ada", 3, 8),
        { key: Buffer.from("ada"), value: Buffer.from("{}") },
        ride("ada", 5),
      ]);
      await service.client.awaitApplied({ source: "rides", positions: [] });
      expect((await served("ada"))[0]).toBe(7);
      const { letters } = await service.client.listDeadLetters({ source: "rides" });
      expect(letters.map(({ detail }) => detail)).toEqual([
        "a zero byte and the number of a schema were expected at the beginning",
        "the schema registry has no schema 8",
      ]);
      expect([...registry.authorizations]).toEqual([`Basic ${Buffer.from("reader:se@cret").toString("base64")}`]);
    });

    test("wait while the registry is away, and lose nothing", async () => {
      registry.away(true);
      // A number that was never asked for: the registry has to answer before anything of its batch is applied.
      await log.append(topics.rides, [ride("bob", 4), ride("bob", 1, 9)]);
      await expect(
        service.client.awaitApplied({ source: "rides", positions: [] }, { timeoutMs: 2000 }),
      ).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
      expect((await served("bob"))[0]).toBe(0);
      registry.away(false);
      await service.client.awaitApplied({ source: "rides", positions: [] });
      expect((await served("bob"))[0]).toBe(4);
    });

    test("as change events of Debezium follow inserts, updates and deletions of a row", async () => {
      const change = (rider: string, op: string, home: string | null, seconds: number) => {
        const row = { rider, home, at: (noon + seconds * 1000) * 1000 };
        const sides = op === "d" ? { before: row, after: null } : { before: null, after: row };
        const value = { op, ...sides, source: { ts_ms: noon + seconds * 1000 } };
        return { key: Buffer.from(rider), value: Buffer.from(JSON.stringify(value)) };
      };
      await log.append(topics.riders, [change("ada", "c", "ams", 0), change("bob", "r", "ber", 0)]);
      await service.client.awaitApplied({ source: "riders", positions: [] });
      expect((await served("ada"))[1]).toBe("ams");
      await log.append(topics.riders, [change("ada", "u", "rom", 1), change("bob", "d", null, 2)]);
      await service.client.awaitApplied({ source: "riders", positions: [] });
      expect((await served("ada"))[1]).toBe("rom");
      expect((await served("bob")).slice(1)).toEqual(["", [1, 3]]);
      await log.append(topics.riders, [change("bob", "c", "oslo", 3)]);
      await service.client.awaitApplied({ source: "riders", positions: [] });
      expect((await served("bob")).slice(1)).toEqual(["oslo", [1, 1]]);
    });

    test("take no Push, which writes JSON rows", async () => {
      const values = { values: { case: "strings" as const, value: { values: ["ada"] } } };
      for (const source of ["rides", "riders"]) {
        await expect(service.client.push({ source, columns: [{ name: "rider", values }] })).rejects.toMatchObject({
          code: "FAILED_PRECONDITION",
          violations: [{ field: "source", got: source }],
        });
      }
    });
  },
);
