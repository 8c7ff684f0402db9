import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@millrace/backing";
import { FieldStatus, ServingService } from "@millrace/contracts/feast/serving/ServingService";
import { createClient, openChannel } from "@millrace/grpc";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

interface Answer {
  readonly metadata: { readonly feature_names: readonly string[] };
  readonly results: readonly {
    readonly values: readonly unknown[];
    readonly statuses: readonly string[];
    readonly event_timestamps: readonly string[];
  }[];
}

describe("a client of Feast's HTTP server", () => {
  const folder = mkdtempSync(join(tmpdir(), "feast-http-"));
  let service: FeatureServingProcess;
  let url: string;
  const minute = 60_000;
  const halfHourAgo = new Date(Math.floor(Date.now() / 1000) * 1000 - 30 * minute);

  const post = async (path: string, body: unknown): Promise<{ status: number; json: unknown }> => {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const answer = await fetch(`${url}/${path}`, { method: "POST", body: text });
    return { status: answer.status, json: await answer.json() };
  };
  const ask = async (body: unknown): Promise<Answer> => {
    const { status, json } = await post("get-online-features", body);
    expect(status, JSON.stringify(json)).toBe(200);
    return json as Answer;
  };

  beforeAll(async () => {
    const port = await freePort();
    service = await startFeatureServing(
      { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder },
      ["--feast-http-port", String(port)],
    );
    url = `http://127.0.0.1:${port}`;
    await service.client.apply({ repository: arrivalsRepository() });
  });
  afterAll(async () => {
    expect(await service.stop()).toBe(0);
    rmSync(folder, { recursive: true });
  });

  test("finds it healthy", async () => {
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  test("reads the rows that it pushed, with statuses and times", async () => {
    // Times as pandas writes them: without a zone, where they are UTC.
    const time = halfHourAgo.toISOString().replace("Z", "");
    const df = {
      airport: ["ATL", "ATL"],
      carrier: [7, 9007199254740992],
      delay: [30, 10.5],
      arrived_at: [time, time],
      received_at: [time, time],
    };
    // JSON.stringify would round the carrier.
    const body = JSON.stringify({ push_source_name: "arrivals", df }).replace("9007199254740992", "9007199254740993");
    expect(await post("push", body)).toEqual({ status: 200, json: null });
    const { metadata, results } = await ask({
      features: ["airport_delays:mean_delay_1h", "airport_delays:arrivals_24h"],
      entities: { airport: ["ATL", "nowhere"] },
    });
    expect(metadata.feature_names).toEqual(["airport", "mean_delay_1h", "arrivals_24h"]);
    expect(results[0]).toEqual({
      values: ["ATL", "nowhere"],
      statuses: ["PRESENT", "PRESENT"],
      event_timestamps: ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"],
    });
    expect(results[1]).toMatchObject({ values: [20.25, null], statuses: ["PRESENT", "NOT_FOUND"] });
    expect(results[1]?.event_timestamps[0]).toBe(halfHourAgo.toISOString().replace(".000Z", "Z"));
    // A COUNT of nothing is 0 in training sets too.
    expect(results[2]?.values).toEqual([2, 0]);
    const exact = await ask('{"features":["carrier_delays:total_7d"],"entities":{"carrier":[9007199254740993,7,8]}}');
    expect(exact.results[1]?.values).toEqual([10.5, 30, null]);
  });

  test("is answered as over gRPC: names, values, statuses and times of a feature service", async () => {
    const { metadata, results } = await ask({
      feature_service: "delay_v1",
      entities: { airport: ["ATL", "x"], carrier: [7, 8], scheduled_at: [980_000_000, "2001-01-20T14:13:20Z"] },
      full_feature_names: true,
    });
    const channel = openChannel(service.address);
    const value = (stringVal: string) => ({ val: { case: "stringVal" as const, value: stringVal } });
    const number = (int64Val: bigint) => ({ val: { case: "int64Val" as const, value: int64Val } });
    const time = { val: { case: "unixTimestampVal" as const, value: 980_000_000n } };
    const over = await createClient(ServingService, channel).getOnlineFeatures({
      kind: { case: "featureService", value: "delay_v1" },
      entities: {
        airport: { val: [value("ATL"), value("x")] },
        carrier: { val: [number(7n), number(8n)] },
        scheduled_at: { val: [time, time] },
      },
      fullFeatureNames: true,
    });
    channel.close();
    expect(metadata.feature_names).toEqual(over.metadata?.featureNames?.val);
    expect(metadata.feature_names).toContain("airport_delays__mean_delay_1h");
    for (const [index, vector] of over.results.entries()) {
      const own = results[index];
      expect(own?.statuses).toEqual(
        vector.statuses.map(
          (status) => Object.entries(FieldStatus).find(([, number]) => Number(number) === Number(status))?.[0],
        ),
      );
      if (metadata.feature_names[index] === "scheduled_at") continue;
      expect(own?.values).toEqual(
        vector.values.map(({ val }) => (typeof val.value === "bigint" ? Number(val.value) : (val.value ?? null))),
      );
      expect(own?.event_timestamps.map(Date.parse)).toEqual(
        vector.eventTimestamps.map(({ seconds, nanos }) => Number(seconds) * 1000 + Math.floor(nanos / 1e6)),
      );
    }
  });

  test("writes rows of a view as the remote online store does, under its names for the times", async () => {
    const time = halfHourAgo.toISOString().replace("Z", "");
    const df = { airport: ["DEN"], delay: [-3], event_timestamp: [time], created: [null] };
    expect(await post("write-to-online-store", { feature_view_name: "airport_latest", df })).toEqual({
      status: 200,
      json: null,
    });
    const { results } = await ask({ features: ["airport_latest:delay"], entities: { airport: ["DEN"] } });
    expect(results[1]?.values).toEqual([-3]);
  });

  describe("is told what is wrong, in the form that its clients raise:", () => {
    const features = ["airport_delays:arrivals_24h"];
    test.each([
      ["neither features nor a service", "get-online-features", { entities: {} }, 400, /features: expected a feature/],
      ["an unknown feature", "get-online-features", { features: ["airport_delays:none"], entities: {} }, 404, /none/],
      ["an entity that is missing", "get-online-features", { features, entities: {} }, 400, /entities.airport/],
      [
        "a key of another type",
        "get-online-features",
        { features, entities: { airport: [1] } },
        400,
        /entities.airport\[0\]: expected text for airport, got 1/,
      ],
      ["no JSON", "get-online-features", "{", 400, /body: expected JSON/],
      ["a push to nowhere", "push", { push_source_name: "none", df: {} }, 404, /none/],
      ["offline alone", "push", { push_source_name: "arrivals", df: {}, to: "offline" }, 501, /got offline/],
      ["an unknown column", "push", { push_source_name: "arrivals", df: { colour: [1] } }, 400, /df.colour/],
      ["a view that is not there", "write-to-online-store", { feature_view_name: "none", df: {} }, 404, /none/],
      [
        "a time that is none",
        "push",
        { push_source_name: "arrivals", df: { airport: ["ATL"], arrived_at: ["soon"], received_at: [null] } },
        400,
        /df.arrived_at\[0\]: expected a time/,
      ],
    ])("%s", async (_, path, body, status, message) => {
      const answer = await post(path, body);
      expect(answer.status).toBe(status);
      // A JSON text within JSON, as Feast's server has it.
      const detail: unknown = JSON.parse(String(answer.json));
      expect(detail).toEqual({ module: "feast.errors", class: "FeastError", message: expect.stringMatching(message) });
    });
  });
});
