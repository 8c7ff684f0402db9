import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BackingServer, hasBacking, startRedis } from "@millrace/backing";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { GetFeaturesRequest_PartialAnswer as PartialAnswer } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arrivalColumns, arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

describe.skipIf(!hasBacking("redis"))("features from a Redis that may go away", { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "partial-answers-"));
  let redis: BackingServer;
  let service: FeatureServingProcess;

  beforeAll(async () => {
    redis = await startRedis();
    service = await startFeatureServing(
      { onlineStoreUrl: redis.url, eventLogUrl: `log:${folder}/log`, dataRoot: folder },
      ["--registry-url", `lmdb:${folder}/registry`],
    );
    await service.client.apply({ repository: arrivalsRepository() });
    const arrivedAtUs = BigInt(Date.now() - 600_000) * 1000n;
    const arrival = { airport: "ATL", carrier: 7n, delay: 30, arrivedAtUs, receivedAtUs: arrivedAtUs };
    await service.client.push({ source: "arrivals", columns: arrivalColumns([arrival]), waitApplied: true });
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    await redis.remove();
    rmSync(folder, { recursive: true });
  });

  const ask = async (request: { partialAnswer?: PartialAnswer; maxStalenessMs?: number }) => {
    const references = ["airport_delays.mean_delay_1h", "schedule.hour", "schedule.is_slow"];
    const answer = await service.client.getFeatures(
      {
        selection: { case: "references", value: { features: references } },
        entities: [{ name: "airport", values: { values: { case: "strings", value: { values: ["ATL"] } } } }],
        request: [
          {
            name: "scheduled_at",
            values: { values: { case: "timestamps", value: { valuesUs: [BigInt(Date.UTC(2001, 0, 1, 13)) * 1000n] } } },
          },
        ],
        ...request,
      },
      { timeoutMs: 3000 },
    );
    return answer.features.map(({ statuses, values }) => ({
      status: statuses[0],
      value:
        values?.values.value !== undefined && "values" in values.values.value
          ? values.values.value.values[0]
          : undefined,
    }));
  };
  const partial = { partialAnswer: PartialAnswer.PARTIAL_ALLOWED };
  const whole = [
    { status: FeatureStatus.PRESENT, value: 30 },
    { status: FeatureStatus.PRESENT, value: 13n },
    { status: FeatureStatus.PRESENT, value: true },
  ];

  test("are answered whole while it answers, whatever is allowed", async () => {
    expect(await ask({})).toEqual(whole);
    expect(await ask(partial)).toEqual(whole);
    expect(await ask({ maxStalenessMs: 60_000 })).toEqual(whole);
  });

  test("come without what it has, by the deadline, where that is allowed; else the call fails", async () => {
    await redis.kill();
    const without = [
      { status: FeatureStatus.UNAVAILABLE, value: 0 },
      { status: FeatureStatus.PRESENT, value: 13n },
      { status: FeatureStatus.UNAVAILABLE, value: false },
    ];
    expect(await ask(partial)).toEqual(without);
    await expect(ask({})).rejects.toMatchObject({ code: expect.stringMatching(/^(UNAVAILABLE|DEADLINE_EXCEEDED)$/) });
  });

  test("come from the rows that were read before, where the caller lets them be that stale", async () => {
    expect(await ask({ maxStalenessMs: 60_000 })).toEqual(whole);
  });

  test("are whole again when it is back", async () => {
    await redis.start();
    await expect.poll(() => ask(partial).then((answer) => answer[0]), { timeout: 20_000 }).toEqual(whole[0]);
  });
});
