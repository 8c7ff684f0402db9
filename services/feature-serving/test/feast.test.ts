import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GrpcFeatureServer } from "@millrace/contracts/feast/grpc_server";
import { FieldStatus, ServingService } from "@millrace/contracts/feast/serving/ServingService";
import { type Channel, type Client, createClient, openChannel } from "@millrace/grpc";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

const text = (value: string) => ({ val: { case: "stringVal" as const, value } });
const column = (...values: string[]) => ({ val: values.map(text) });

describe("a client of Feast's contract", { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "feast-"));
  let service: FeatureServingProcess;
  let channel: Channel;
  let serving: Client<typeof ServingService>;
  let server: Client<typeof GrpcFeatureServer>;
  const hourAgo = new Date(Date.now() - 30 * 60_000).toISOString();

  beforeAll(async () => {
    service = await startFeatureServing({
      onlineStoreUrl: `lmdb:${folder}/online`,
      eventLogUrl: `log:${folder}/log`,
      dataRoot: folder,
    });
    await service.client.apply({ repository: arrivalsRepository() });
    channel = openChannel(service.address);
    serving = createClient(ServingService, channel);
    server = createClient(GrpcFeatureServer, channel);
  }, 60_000);
  afterAll(async () => {
    channel.close();
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  test("learns the version of the contract", async () => {
    expect((await serving.getFeastServingInfo({})).version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test("pushes a row as text or typed, and reads what it wrote", async () => {
    const features = { airport: "ATL", carrier: "7", delay: "30", arrived_at: hourAgo, received_at: hourAgo };
    expect((await server.push({ streamFeatureView: "arrivals", features, to: "online" })).status).toBe(true);
    const seconds = BigInt(Math.floor(Date.parse(hourAgo) / 1000));
    const time = { val: { case: "unixTimestampVal" as const, value: seconds } };
    const typedFeatures = {
      airport: text("ATL"),
      carrier: { val: { case: "int32Val" as const, value: 7 } },
      delay: { val: { case: "doubleVal" as const, value: 10 } },
      arrived_at: time,
      received_at: time,
    };
    expect((await server.writeToOnlineStore({ featureViewName: "airport_delays", typedFeatures })).status).toBe(true);
    const answer = await server.getOnlineFeatures({
      kind: {
        case: "features",
        value: { val: ["airport_delays:mean_delay_1h", "airport_delays:arrivals_24h"] },
      },
      entities: { airport: column("ATL", "nowhere") },
    });
    expect(answer.metadata?.featureNames?.val).toEqual(["airport", "mean_delay_1h", "arrivals_24h"]);
    const [airport, mean, count] = answer.results;
    expect(airport?.values.map(({ val }) => val.value)).toEqual(["ATL", "nowhere"]);
    expect(mean?.statuses).toEqual([FieldStatus.PRESENT, FieldStatus.NOT_FOUND]);
    expect(mean?.values.map(({ val }) => val)).toEqual([
      { case: "doubleVal", value: 20 },
      { case: undefined, value: undefined },
    ]);
    expect(Number(mean?.eventTimestamps[0]?.seconds)).toBeCloseTo(Date.parse(hourAgo) / 1000, -1);
    // A COUNT of nothing is 0 in training sets too.
    expect(count?.values.map(({ val }) => val.value)).toEqual([2n, 0n]);
  });

  test("reads a feature service with full names over either service, the same", async () => {
    const request = {
      kind: { case: "featureService" as const, value: "delay_v1" },
      entities: { airport: column("ATL"), carrier: { val: [{ val: { case: "int32Val" as const, value: 7 } }] } },
      fullFeatureNames: true,
    };
    const { entityKeys, requestFields } = (await service.client.getFeatureService({ name: "delay_v1" }))
      .featureService ?? { entityKeys: [], requestFields: [] };
    const wanted = new Set([...entityKeys, ...requestFields].map(({ name }) => name));
    const entities = Object.fromEntries(Object.entries(request.entities).filter(([name]) => wanted.has(name)));
    const requestContext = Object.fromEntries(
      requestFields.map(({ name }) => [
        name,
        { val: [{ val: { case: "unixTimestampVal" as const, value: 980_000_000n } }] },
      ]),
    );
    const [one, other] = await Promise.all([
      serving.getOnlineFeatures({ ...request, entities, requestContext }),
      server.getOnlineFeatures({ ...request, entities: { ...entities, ...requestContext } }),
    ]);
    expect(one.metadata?.featureNames?.val).toEqual(other.metadata?.featureNames?.val);
    expect(one.results).toEqual(other.results);
    expect(one.metadata?.featureNames?.val.some((name) => name.startsWith("airport_delays__"))).toBe(true);
  });

  describe("is told what is wrong:", () => {
    const ask = (features: string[], entities = { airport: column("ATL") }) =>
      serving.getOnlineFeatures({ kind: { case: "features", value: { val: features } }, entities });

    test("a reference that is none, an unknown feature, nothing", async () => {
      await expect(ask(["mean_delay_1h"])).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      await expect(ask(["airport_delays:none"])).rejects.toMatchObject({ code: "NOT_FOUND" });
      await expect(ask([])).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    });
    test("an entity that is missing, of another type, or of no view", async () => {
      const none = serving.getOnlineFeatures({
        kind: { case: "features", value: { val: ["airport_delays:arrivals_24h"] } },
      });
      await expect(none).rejects.toMatchObject({ code: "INVALID_ARGUMENT", reason: "COLUMN_INVALID" });
      const number = { val: [{ val: { case: "int64Val" as const, value: 1n } }] };
      const wrong = serving.getOnlineFeatures({
        kind: { case: "features", value: { val: ["airport_delays:arrivals_24h"] } },
        entities: { airport: number },
      });
      await expect(wrong).rejects.toThrow(/string_val for airport, got int64_val/);
      const more = serving.getOnlineFeatures({
        kind: { case: "features", value: { val: ["airport_delays:arrivals_24h"] } },
        entities: { airport: column("ATL"), city: column("x") },
      });
      await expect(more).rejects.toThrow(/entities.city/);
    });
    test("a push to nowhere, offline alone, of an unknown column, of a text that does not fit", async () => {
      const features = { airport: "ATL", arrived_at: hourAgo, received_at: hourAgo };
      await expect(server.push({ streamFeatureView: "none", features })).rejects.toMatchObject({
        reason: "SOURCE_UNKNOWN",
      });
      await expect(server.push({ streamFeatureView: "arrivals", features, to: "offline" })).rejects.toMatchObject({
        code: "UNIMPLEMENTED",
      });
      const unknown = server.push({ streamFeatureView: "arrivals", features: { ...features, colour: "red" } });
      await expect(unknown).rejects.toThrow(/features.colour/);
      const malformed = server.push({ streamFeatureView: "arrivals", features: { ...features, carrier: "seven" } });
      await expect(malformed).rejects.toThrow(/a whole number for carrier, got "seven"/);
    });
  });
});
