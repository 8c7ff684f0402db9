import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arrivalColumns, arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

const at = BigInt(Date.UTC(2001, 0, 15, 12)) * 1000n;
const minute = 60_000_000n;
const folder = mkdtempSync(join(tmpdir(), "feature-serving-"));
const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };

const strings = (name: string, values: string[]) => ({
  name,
  values: { values: { case: "strings" as const, value: { values } } },
});
const integers = (name: string, values: bigint[]) => ({
  name,
  values: { values: { case: "int64s" as const, value: { values } } },
});
const times = (name: string, valuesUs: bigint[]) => ({
  name,
  values: { values: { case: "timestamps" as const, value: { valuesUs } } },
});

describe("feature-serving over a socket", { timeout: 60_000 }, () => {
  let service: FeatureServingProcess;

  beforeAll(async () => {
    service = await startFeatureServing(stores);
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  test("says that nothing is applied, before anything is", async () => {
    const call = service.client.getFeatures({ selection: { case: "featureService", value: "delay_v1" } });
    await expect(call).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "NOTHING_APPLIED" });
  });

  test("applies a repository, and the same repository again does nothing", async () => {
    const repository = arrivalsRepository();
    const plan = await service.client.plan({ repository });
    expect(plan.changes.map(({ object, name }) => `${object} ${name}`)).toContain("feature view airport_delays");
    const first = await service.client.apply({ repository, revision: "abc" });
    expect(first.registryVersion).toBe(1n);
    const second = await service.client.apply({ repository, revision: "abc" });
    expect(second).toMatchObject({ changes: [], registryVersion: 1n, definitionsHash: first.definitionsHash });
  });

  test("serves what was pushed, once it is applied, without the event at exactly t", async () => {
    const arrival = (minutes: bigint, delay: number | null, airport = "ATL") => {
      const arrivedAtUs = at - minutes * minute;
      return { airport, carrier: 7n, delay, arrivedAtUs, receivedAtUs: arrivedAtUs };
    };
    const arrivals = [arrival(90n, 100), arrival(50n, 30), arrival(10n, 10), arrival(5n, null), arrival(0n, 500)];
    const pushed = await service.client.push({
      source: "arrivals",
      columns: arrivalColumns(arrivals),
      waitApplied: true,
    });
    expect(pushed.rows).toBe(5n);
    const answer = await service.client.getFeatures({
      selection: { case: "featureService", value: "delay_v1" },
      entities: [strings("airport", ["ATL", "nowhere"]), integers("carrier", [7n, 8n])],
      request: [times("scheduled_at", [at, at])],
      atUs: [at],
      withEventTimes: true,
    });
    const byName = Object.fromEntries(answer.features.map((feature) => [feature.name, feature]));
    expect(byName.airport_delays__mean_delay_1h?.values?.values.value).toMatchObject({ values: [20, 0] });
    expect([...(byName.airport_delays__mean_delay_1h?.statuses ?? [])]).toEqual([
      FeatureStatus.PRESENT,
      FeatureStatus.NOT_FOUND,
    ]);
    expect(byName.airport_delays__mean_delay_1h?.eventTimesUs).toEqual([at - 10n * minute, 0n]);
    expect(byName.airport_delays__arrivals_24h?.values?.values.value).toMatchObject({ values: [3n, 0n] });
    expect(byName.carrier_delays__max_delay_7d?.values?.values.value).toMatchObject({ values: [100, 0] });
    expect(byName.airport_latest__delay?.values?.values.value).toMatchObject({ values: [500, 0] });
    expect(byName.schedule__hour?.values?.values.value).toMatchObject({ values: [12n, 12n] });
    expect([...(byName.schedule__is_slow?.statuses ?? [])]).toEqual([FeatureStatus.PRESENT, FeatureStatus.NULL_VALUE]);
  });

  test("answers each request of a stream, and leaves it open after one that fails", async () => {
    const ask = (id: string, feature: string) => ({
      id,
      request: {
        selection: { case: "references" as const, value: { features: [feature] } },
        entities: [strings("airport", ["ATL"])],
        atUs: [at],
      },
    });
    async function* requests() {
      yield ask("first", "airport_delays.arrivals_24h");
      yield ask("second", "airport_delays.nothing");
      yield ask("third", "airport_delays.arrivals_24h");
    }
    const answers: [string, unknown][] = [];
    for await (const { id, result } of service.client.streamFeatures(requests())) {
      const error = result.case === "error" ? result.value.reason : undefined;
      answers.push([id, error]);
    }
    expect(answers).toEqual([
      ["first", undefined],
      ["second", "FEATURE_UNKNOWN"],
      ["third", undefined],
    ]);
  });

  test("lists what is applied, with ranges, owners and the newest applied event", async () => {
    const { featureViews } = await service.client.listFeatureViews({});
    const delays = featureViews.find(({ name }) => name === "airport_delays");
    expect(delays).toMatchObject({ entity: "airport", source: "arrivals", newestEvent: { seconds: at / 1_000_000n } });
    const { featureService } = await service.client.getFeatureService({ name: "delay_v1" });
    expect(featureService?.entityKeys.map(({ name }) => name)).toEqual(["airport", "carrier"]);
    expect(featureService?.requestFields.map(({ name }) => name)).toEqual(["scheduled_at"]);
    const mean = featureService?.features.find(({ name }) => name === "airport_delays__mean_delay_1h");
    expect(mean).toMatchObject({ source: "arrivals", owner: "ops@example.org", min: -100, max: 2000 });
    expect((await service.client.listFeatureServices({})).featureServices).toHaveLength(1);
  });

  test("serves a changed view under a new version, filled from the beginning of the topic", async () => {
    const changed = arrivalsRepository({ window: "2h" });
    const plan = await service.client.plan({ repository: changed });
    expect(plan.changes).toMatchObject([{ object: "feature view", name: "airport_delays", newVersion: true }]);
    await service.client.apply({ repository: changed });
    await service.client.awaitApplied({ source: "arrivals" });
    const answer = await service.client.getFeatures({
      selection: { case: "references", value: { features: ["airport_delays.mean_delay_1h"] } },
      entities: [strings("airport", ["ATL"])],
      atUs: [at],
    });
    expect(answer.features[0]?.values?.values.value).toMatchObject({ values: [(100 + 30 + 10) / 3] });
    await service.client.apply({ repository: arrivalsRepository() });
    await service.client.awaitApplied({ source: "arrivals" });
  });

  test("refuses to apply over what somebody else applied in the meantime", async () => {
    const call = service.client.apply({
      repository: arrivalsRepository({ window: "3h" }),
      expectedRegistryVersion: 1n,
    });
    await expect(call).rejects.toMatchObject({ code: "ABORTED", reason: "CONFLICT" });
  });

  test("refuses a time that the row has left behind, naming GetTrainingSet", async () => {
    const call = service.client.getFeatures({
      selection: { case: "references", value: { features: ["airport_delays.arrivals_24h"] } },
      entities: [strings("airport", ["ATL"])],
      atUs: [at - 1n],
    });
    await expect(call).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "TIME_IN_THE_PAST",
      message: expect.stringContaining("GetTrainingSet"),
    });
  });

  describe("bad input", () => {
    test("names the column that is missing", async () => {
      const call = service.client.getFeatures({ selection: { case: "featureService", value: "delay_v1" } });
      await expect(call).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "COLUMN_INVALID",
        violations: [expect.objectContaining({ field: "entities.airport" })],
      });
    });

    test("names the column whose type does not fit", async () => {
      const call = service.client.getFeatures({
        selection: { case: "references", value: { features: ["carrier_delays.*"] } },
        entities: [strings("carrier", ["7"])],
      });
      await expect(call).rejects.toMatchObject({
        reason: "COLUMN_INVALID",
        violations: [expect.objectContaining({ field: "entities[0].values" })],
      });
    });

    test("names an unknown feature, service and source", async () => {
      const { client } = service;
      const reference = client.getFeatures({
        selection: { case: "references", value: { features: ["airport_delays.nothing"] } },
      });
      await expect(reference).rejects.toMatchObject({ reason: "FEATURE_UNKNOWN" });
      const name = client.getFeatures({ selection: { case: "featureService", value: "delay_v9" } });
      await expect(name).rejects.toMatchObject({ code: "NOT_FOUND", reason: "FEATURE_SERVICE_UNKNOWN" });
      const source = client.push({ source: "departures", columns: arrivalColumns([]) });
      await expect(source).rejects.toMatchObject({ code: "NOT_FOUND", reason: "SOURCE_UNKNOWN" });
    });

    test("refuses more values than one answer may hold", async () => {
      const call = service.client.getFeatures({
        selection: { case: "references", value: { features: ["airport_delays.*"] } },
        entities: [strings("airport", new Array(200_000).fill("ATL"))],
      });
      await expect(call).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", reason: "TOO_LARGE" });
    });

    test("refuses definitions whose column is unknown, whole, with the place", async () => {
      const repository = arrivalsRepository();
      const [view] = repository.featureViews;
      if (view !== undefined) view.where = "delai > 3";
      await expect(service.client.apply({ repository })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "DEFINITION_INVALID",
      });
      expect((await service.client.getRepository({})).registryVersion).toBe(3n);
    });
  });
});
