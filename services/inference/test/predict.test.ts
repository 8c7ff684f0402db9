import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type Prediction, PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { type LogRecord, openEventLog } from "@millrace/event-log";
import { decodeStrings, encodeStrings } from "@millrace/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DeployedService, startDeployedService } from "./deployed-service.ts";
import { type FeatureServer, startFeatureServer } from "./feature-server.ts";
import { doubles, predictFlights, scoresOf, strings } from "./flight-rows.ts";
import { flightPackage } from "./packages.ts";

let deployed: DeployedService;
let features: FeatureServer;

beforeAll(async () => {
  features = await startFeatureServer();
  deployed = await startDeployedService((folder) => [
    ...["--feature-serving-address", features.address, "--feature-timeout-ms", "400"],
    ...["--event-log-url", `log:${join(folder, "log")}`],
  ]);
}, 60_000);

afterAll(async () => {
  await features.close();
  await deployed.close();
});

/** Declares a version of a package whose score is so many times the delay, and waits until it serves. */
const deploy = async (factor: number, version: number, more = "") => {
  const reference = await deployed.push("flight_delay", flightPackage(factor));
  deployed.declare(`
deployments:
  - model: flight_delay
    versions: [{version: ${version}, package: "${reference}"}]
    ${more}
`);
  await deployed.awaitState(reference, State.READY);
  return reference;
};

const predict = (airports: string[], more: object = {}) => predictFlights(deployed.service, airports, more);

describe("Predict", () => {
  beforeAll(async () => {
    await deploy(3, 8);
  }, 30_000);

  test("fills the graph from features and request, a null as NaN or the empty string, and says what was served", async () => {
    const answer = await predict(["ATL", "", "JFK"], { withFeatures: true });
    expect(scoresOf(answer)).toEqual([90, 1, 92]);
    expect(decodeStrings("airport", answer.outputs[1]?.data ?? new Uint8Array(), 3)).toEqual(["ATL", "", "JFK"]);
    expect(answer.predictionIds).toHaveLength(3);
    expect(new Set(answer.predictionIds).size).toBe(3);
    expect(answer.featuresAsOf).toBe("as-of-1");
    const [delay] = answer.features;
    expect([...(delay?.statuses ?? [])]).toEqual([
      FeatureStatus.PRESENT,
      FeatureStatus.NOT_FOUND,
      FeatureStatus.PRESENT,
    ]);
    expect(delay?.eventTimesUs).toEqual([1_000_000n, 0n, 1_000_000n]);
    expect(delay?.values?.values).toMatchObject({ case: "doubles", value: { values: [30, 0, 30] } });
  });

  test("reads the features of all rows in one call, at the times that were asked for", async () => {
    const before = features.requests.length;
    const airports = Array.from({ length: 300 }, (_, row) => "A".repeat(row % 7));
    const answer = await predict(airports, { atUs: airports.map((_, row) => BigInt(row)) });
    expect(scoresOf(answer)).toEqual(airports.map((name, row) => name.length * 30 + row));
    expect(features.requests.length).toBe(before + 1);
    expect(features.requests.at(-1)).toMatchObject({
      selection: { value: "flights" },
      atUs: airports.map((_, row) => BigInt(row)),
    });
  });

  test("asks for the version of the feature service that the package was trained on", async () => {
    await predict(["ATL"]);
    expect(features.requests.at(-1)).toMatchObject({ featureServiceVersion: "v1" });
  });

  test.each([
    [
      "ids that are not one a row",
      { predictionIds: ["a"] },
      /prediction_ids: expected none, or one a row \(2\), got 1/,
    ],
    ["an id twice", { predictionIds: ["a", "a"] }, /prediction_ids\[1\]/],
    [
      "columns of different lengths",
      { request: [doubles("distance", [1])] },
      /request\[0\].values: expected 2 rows, as airport has, got 1/,
    ],
    ["times that are not one a row", { atUs: [1n, 2n, 3n] }, /at_us: expected none, one, or one a row \(2\), got 3/],
    ["no columns", { entities: [], request: [] }, /entities: expected one column/],
  ])("refuses %s", async (_, more, message) => {
    await expect(predict(["ATL", "JFK"], more)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(message),
    });
  });

  test("passes on what feature-serving refuses, with its reason", async () => {
    await expect(predict(["ATL"], { entities: [strings("airline", ["AA"])] })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "COLUMN_INVALID",
    });
  });

  test("fails within the features' share of the deadline when feature-serving hangs, and at once when it goes on", async () => {
    features.before = () => new Promise((resolve) => setTimeout(resolve, 3000));
    const failures: unknown[] = [];
    for (let call = 0; call < 8; call++) failures.push(await predict(["ATL"], {}).catch((error: unknown) => error));
    for (const failure of failures)
      expect(failure).toMatchObject({ code: "UNAVAILABLE", reason: "FEATURES_UNAVAILABLE" });
    expect(failures.at(-1)).toMatchObject({ message: expect.stringMatching(/has not answered for a while/) });
    features.before = async () => {};
    for (;;) {
      const answer = await predict(["ATL"]).catch(() => undefined);
      if (answer !== undefined) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }, 30_000);
});

describe("a package with a calibration", () => {
  test("has its probabilities in Predict's answers and beside the scores in the log; ModelInfer answers the graph's", async () => {
    const reference = await deployed.push(
      "flight_delay",
      flightPackage(1, { calibration: { scores: [10, 30, 50], probabilities: [0.1, 0.2, 0.8] } }),
    );
    deployed.declare(`
deployments:
  - model: flight_delay
    versions: [{version: 20, package: "${reference}"}]
    predictionLog: {acknowledge: BEFORE_RESPONSE}
`);
    await deployed.awaitInForce("flight_delay");
    const airports = ["", "A", "AT", "ATL", "ATLX", "ATLXYZ"];
    const distances = [doubles("distance", [0, 0, 5, 0, 0, 0])];
    const predictionIds = airports.map((_, row) => `calibrated-${row}`);
    const answer = await predict(airports, { request: distances, predictionIds });
    // Linear between the points of the map, constant outside: scores 0, 10, 25, 30, 40, 60.
    const expected = [0.1, 0.1, 0.175, 0.2, 0.5, 0.8];
    for (const [row, score] of scoresOf(answer).entries()) expect(score).toBeCloseTo(expected[row] ?? 0, 6);

    const float = (value: number) => new Uint8Array(Float32Array.of(value).buffer);
    const { rawOutputContents } = await deployed.service.oip.modelInfer({
      modelName: "flight_delay",
      inputs: [
        { name: "delay", datatype: "FP32", shape: [1n, 1n] },
        { name: "distance", datatype: "FP32", shape: [1n, 1n] },
        { name: "name", datatype: "BYTES", shape: [1n, 1n] },
      ],
      rawInputContents: [float(20), float(5), encodeStrings(["AT"])],
    });
    expect(rawOutputContents[0]).toEqual(float(25));

    const log = await openEventLog(`log:${join(deployed.folder, "log")}`);
    const logged = new Map<string, Prediction>();
    for (const { partition } of await log.bounds("predictions")) {
      for await (const { records } of log.read("predictions", { partition, offset: 0n })) {
        for (const { key, value } of records) {
          logged.set(new TextDecoder().decode(key), fromBinary(PredictionSchema, value ?? new Uint8Array()));
        }
      }
    }
    await log.close();
    expect(logged.get("calibrated-2")?.outputs).toMatchObject([
      { name: "score", values: [25], calibrated: [expect.closeTo(0.175, 6)] },
      { name: "airport", strings: ["AT"], calibrated: [] },
    ]);
  }, 30_000);
});

describe("the prediction log", () => {
  test("has each prediction as a CloudEvent under its id, also what was only buffered when the service stopped", async () => {
    const reference = await deploy(10, 10, "predictionLog: {acknowledge: BEFORE_RESPONSE}");
    await predict(["ATL"], { predictionIds: ["durable"], atUs: [1_500_000n] });
    await deploy(11, 11);
    await predict(["JFK", ""], { predictionIds: ["first", "second"] });
    expect(await deployed.service.stop()).toBe(0);

    const log = await openEventLog(`log:${join(deployed.folder, "log")}`);
    const records: LogRecord[] = [];
    for (const { partition } of await log.bounds("predictions")) {
      for await (const batch of log.read("predictions", { partition, offset: 0n })) records.push(...batch.records);
    }
    await log.close();
    const byKey = new Map(records.map((record) => [new TextDecoder().decode(record.key), record]));
    const durable = byKey.get("durable");
    expect(durable?.headers).toMatchObject({
      ce_specversion: "1.0",
      ce_id: "durable",
      ce_type: "io.millrace.prediction.v1",
      "content-type": "application/protobuf",
    });
    const prediction = fromBinary(PredictionSchema, durable?.value ?? new Uint8Array());
    expect(prediction).toMatchObject({
      id: "durable",
      model: "flight_delay",
      modelVersion: "10",
      packageDigest: reference.split("@")[1],
      packageRepository: "flight_delay",
      eventTime: { seconds: 1n, nanos: 500_000_000 },
      entityKeys: { airport: { value: { case: "string", value: "ATL" } } },
      features: [
        {
          name: "airport__delay",
          value: { value: { case: "double", value: 30 } },
          status: FeatureStatus.PRESENT,
          eventTime: { seconds: 1n },
        },
        { name: "airport__name", value: { value: { case: "string", value: "ATL" } } },
        { name: "distance", value: { value: { case: "double", value: 0 } } },
      ],
      outputs: [
        { name: "score", values: [300] },
        { name: "airport", strings: ["ATL"] },
      ],
      featureService: "flights",
      featureServiceVersion: "v1",
      featuresAsOf: "as-of-1",
    });
    expect(prediction.traceId).toMatch(/^[0-9a-f]{32}$/);
    const second = fromBinary(PredictionSchema, byKey.get("second")?.value ?? new Uint8Array());
    const [delay] = second.features;
    expect(delay?.status).toBe(FeatureStatus.NOT_FOUND);
    expect([delay?.value, delay?.eventTime]).toEqual([undefined, undefined]);
    expect(byKey.has("first")).toBe(true);
  }, 60_000);
});
