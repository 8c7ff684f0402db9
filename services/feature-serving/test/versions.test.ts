import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { FeatureViewStatus_State } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { openKv } from "@millrace/kv";
import { openModelStore } from "@millrace/model-package";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Catalogue } from "../src/catalogue.ts";
import { Registry } from "../src/registry.ts";
import { type Arrival, arrivalColumns, arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

const at = BigInt(Date.UTC(2001, 0, 15, 12)) * 1000n;
const minute = 60_000_000n;
const folder = mkdtempSync(join(tmpdir(), "versions-"));
const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };
const modelsUrl = `oci:${folder}/models`;
const flags = ["--models-url", modelsUrl, "--version-retention", "1s"];

const arrival = (minutes: bigint, delay: number): Arrival => {
  const arrivedAtUs = at - minutes * minute;
  return { airport: "ATL", carrier: 7n, delay, arrivedAtUs, receivedAtUs: arrivedAtUs };
};

describe("versions of views and feature services", { timeout: 120_000 }, () => {
  let service: FeatureServingProcess;

  beforeAll(async () => {
    service = await startFeatureServing(stores, flags);
    await service.client.apply({ repository: arrivalsRepository() });
    const columns = arrivalColumns([arrival(90n, 100), arrival(50n, 30), arrival(10n, 10)]);
    await service.client.push({ source: "arrivals", columns, waitApplied: true });
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  const selection = { case: "featureService" as const, value: "delay_v1" };
  const rows = {
    entities: [
      { name: "airport", values: { values: { case: "strings" as const, value: { values: ["ATL"] } } } },
      { name: "carrier", values: { values: { case: "int64s" as const, value: { values: [7n] } } } },
    ],
    request: [{ name: "scheduled_at", values: { values: { case: "timestamps" as const, value: { valuesUs: [at] } } } }],
    atUs: [at],
  };
  const read = async (featureServiceVersion = "") => {
    const answer = await service.client.getFeatures({ selection, ...rows, featureServiceVersion });
    const mean = answer.features.find(({ name }) => name === "airport_delays__mean_delay_1h");
    return { version: answer.featureServiceVersion, mean: mean?.values?.values.value };
  };
  const appliedVersion = async () =>
    (await service.client.getFeatureService({ name: "delay_v1" })).featureService?.version ?? "";
  const versions = async () => (await service.client.listFeatureServiceVersions({ name: "delay_v1" })).versions;
  const until = async (holds: () => Promise<boolean>) => {
    while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 100));
  };
  const versionOf = async (hours: string) => {
    const before = await appliedVersion();
    await service.client.apply({ repository: arrivalsRepository({ window: hours }) });
    return { before, after: await appliedVersion() };
  };

  test("a changed view answers as soon as it has caught up, for whoever waits for that", async () => {
    const { before, after } = await versionOf("2h");
    expect(after).not.toBe(before);
    await service.client.awaitApplied({ source: "arrivals" });
    expect(await read()).toMatchObject({ version: after, mean: { values: [(100 + 30 + 10) / 3] } });
  });

  test("an older version that a model package names is kept, is read beside the new one, and follows the stream", async () => {
    const older = await appliedVersion();
    const store = await openModelStore(modelsUrl);
    const manifest = create(ModelPackageSchema, {
      name: "flight_delay",
      features: { featureService: "delay_v1", featureServiceVersion: older },
    });
    await store.push("team/flight_delay", { manifest, model: new Uint8Array([1]), card: "# flight_delay\n" }, ["v1"]);
    await store.close();
    const { after } = await versionOf("1h");
    await service.client.awaitApplied({ source: "arrivals" });
    await service.client.push({ source: "arrivals", columns: arrivalColumns([arrival(5n, 40)]), waitApplied: true });
    expect(await read(older)).toMatchObject({ version: older, mean: { values: [(100 + 30 + 10 + 40) / 4] } });
    expect(await read(after)).toMatchObject({ version: after, mean: { values: [(30 + 10 + 40) / 3] } });
    expect(await read()).toMatchObject({ version: after });
    const listed = await versions();
    expect(listed.find(({ version }) => version === after)).toMatchObject({ inForce: true });
    const kept = listed.find(({ version }) => version === older);
    expect(kept).toMatchObject({ inForce: false });
    expect(kept?.keptBy.join()).toContain("model package team/flight_delay:v1@sha256:");
    expect(kept?.lastReadAt).toBeDefined();
  });

  test("a plan says what depends on a change, and what becomes of it", async () => {
    const { changes } = await service.client.plan({ repository: arrivalsRepository({ window: "6h" }) });
    const change = changes.find(({ name }) => name === "airport_delays");
    expect(change).toMatchObject({ newVersion: true, detail: expect.stringContaining("6h") });
    const dependents = change?.dependents.map(({ object, name, consequence }) => `${object} ${name}: ${consequence}`);
    expect(dependents).toEqual([
      expect.stringMatching(/^feature service delay_v1: gets version \w+; \w+ answers until its views have caught up$/),
      "on-demand view schedule: gets a new version",
      expect.stringMatching(/^model package team\/flight_delay:v1@sha256:\w+: version \w+ of delay_v1 is kept for it$/),
    ]);
  });

  test("a plan says of a deleted service which package still needs it", async () => {
    const repository = { ...arrivalsRepository({ window: "1h" }), featureServices: [] };
    const { changes } = await service.client.plan({ repository });
    const [change] = changes.filter(({ object }) => object === "feature service");
    expect(change?.dependents).toMatchObject([
      { object: "model package", consequence: expect.stringMatching(/is kept for it/) },
    ]);
  });

  test("a version that nothing needs is dropped, and so are the rows that only it read", async () => {
    const { before, after } = await versionOf("3h");
    await until(async () => (await versions()).every(({ version }) => version !== before));
    await expect(read(before)).rejects.toMatchObject({ code: "NOT_FOUND", reason: "FEATURE_SERVICE_UNKNOWN" });
    expect((await read()).version).toBe(after);
    expect(await versions()).toHaveLength(2);
  });

  test("kept versions survive a restart of the service", async () => {
    const [, kept] = await versions();
    await service.stop();
    service = await startFeatureServing(stores, flags);
    expect(await read(kept?.version)).toMatchObject({ mean: { values: [(100 + 30 + 10 + 40) / 4] } });
  });

  test("views are listed by version, with the state of each", async () => {
    const { featureViews } = await service.client.listFeatureViews({});
    const states = featureViews.filter(({ name }) => name === "airport_delays").map(({ state }) => state);
    expect(states).toEqual([FeatureViewStatus_State.SERVING, FeatureViewStatus_State.KEPT]);
    expect(featureViews.every(({ lagRecords }) => lagRecords === 0n)).toBe(true);
  });

  test("a version in force is not released; an older one is, and its rows go", async () => {
    const [inForce, kept] = await versions();
    const release = (version = "") => service.client.releaseFeatureServiceVersion({ name: "delay_v1", version });
    await expect(release(inForce?.version)).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "CONFLICT" });
    const { droppedViews } = await release(kept?.version);
    expect(droppedViews).toEqual([expect.stringMatching(/^airport_delays@/)]);
    await expect(release(kept?.version)).rejects.toMatchObject({ code: "NOT_FOUND" });
    const online = await openKv(stores.onlineStoreUrl);
    const prefix = new TextEncoder().encode(`row/${droppedViews[0]?.replace("@", "/")}/`);
    await until(async () => {
      for await (const _row of online.scan(prefix)) return false;
      return true;
    });
    await online.close();
  });

  test("a version beside single features is refused", async () => {
    const call = service.client.getFeatures({
      selection: { case: "references", value: { features: ["airport_delays.arrivals_24h"] } },
      ...rows,
      featureServiceVersion: "abc",
    });
    await expect(call).rejects.toMatchObject({ code: "INVALID_ARGUMENT", reason: "FIELD_INVALID" });
  });

  test("of many that apply at once over one store one wins, and the registry is whole", async () => {
    const second = await startFeatureServing(stores, flags);
    const { registryVersion } = await service.client.getRepository({});
    const calls = Array.from({ length: 12 }, (_, index) =>
      (index % 2 === 0 ? service : second).client.apply({
        repository: arrivalsRepository({ window: `${index + 4}h` }),
        expectedRegistryVersion: registryVersion,
      }),
    );
    const settled = await Promise.allSettled(calls);
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const one of settled) {
      if (one.status === "rejected") expect(one.reason).toMatchObject({ code: "ABORTED", reason: "CONFLICT" });
    }
    const online = await openKv(stores.onlineStoreUrl);
    const catalogue = new Catalogue(new Registry(online));
    await catalogue.refresh();
    expect(catalogue.current?.registryVersion).toBe(Number(registryVersion) + 1);
    await online.close();
    await second.stop();
  });
});
