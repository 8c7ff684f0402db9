import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEventLog } from "@millrace/event-log";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

describe("dead letters", { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "dead-letters-"));
  const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };
  let service: FeatureServingProcess;

  const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  const at = Date.now() * 1000 - 600_000_000;
  const good = { airport: "ATL", carrier: 1, delay: 1, arrived_at: at, received_at: at };

  beforeAll(async () => {
    service = await startFeatureServing(stores);
    await service.client.apply({ repository: arrivalsRepository() });
    const log = await openEventLog(stores.eventLogUrl);
    const key = new TextEncoder().encode("ATL");
    // One partition, so that the order is known.
    await log.append("arrivals", [
      { key, partition: 0, value: text(good) },
      { key, partition: 0, value: new TextEncoder().encode("{not json"), headers: { origin: "gate 7" } },
      { key, partition: 0, value: text({ ...good, arrived_at: at - 48 * 3_600_000_000 }) },
      { partition: 0, value: text({ ...good, airport: null, carrier: null }) },
      { key, partition: 0, value: text({ ...good, delay: "late" }) },
      { key, partition: 0, value: text(good) },
    ]);
    await log.close();
    await service.client.awaitApplied({ source: "arrivals" });
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  test("tell which record it was and why it could not be used, the newest first", async () => {
    const { letters, counts } = await service.client.listDeadLetters({ source: "arrivals" });
    expect(letters.map(({ reason, sourceOffset }) => [reason, sourceOffset])).toEqual([
      ["MALFORMED", 4n],
      ["KEY_NULL", 3n],
      ["TOO_LATE", 2n],
      ["MALFORMED", 1n],
    ]);
    expect(counts).toEqual({ MALFORMED: 2n, KEY_NULL: 1n, TOO_LATE: 1n });
    expect(letters[0]?.detail).toContain("delay: DOUBLE was expected");
    expect(new TextDecoder().decode(letters[3]?.value)).toBe("{not json");
    expect(new TextDecoder().decode(letters[3]?.key)).toBe("ATL");
  });

  test("can be asked for by reason, and as many as one wants", async () => {
    const malformed = await service.client.listDeadLetters({ source: "arrivals", reason: "MALFORMED", limit: 1 });
    expect(malformed.letters.map(({ sourceOffset }) => sourceOffset)).toEqual([4n]);
    expect(malformed.counts.MALFORMED).toBe(2n);
    await expect(service.client.listDeadLetters({ source: "arrivals", reason: "BROKEN" })).rejects.toThrow(/MALFORMED/);
    await expect(service.client.listDeadLetters({ source: "none" })).rejects.toMatchObject({
      reason: "SOURCE_UNKNOWN",
    });
  });

  test("never keep the records behind them", async () => {
    const answer = await service.client.getFeatures({
      selection: { case: "references", value: { features: ["airport_delays.arrivals_24h"] } },
      entities: [{ name: "airport", values: { values: { case: "strings", value: { values: ["ATL"] } } } }],
    });
    expect(answer.features[0]?.values?.values.value).toMatchObject({ values: [2n] });
  });

  test("are none for a topic that has none", async () => {
    await service.client.apply({ repository: arrivalsRepository({ topic: "others" }) });
    expect(await service.client.listDeadLetters({ source: "arrivals" })).toMatchObject({ letters: [], counts: {} });
  });
});
