import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary, fromJson } from "@bufbuild/protobuf";
import { PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { DeploymentDeclarationSchema } from "@millrace/contracts/millrace/inference/v1/deployment";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { PredictResponse } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import { type LogRecord, openEventLog } from "@millrace/event-log";
import { type ModelStore, openModelStore } from "@millrace/model-package";
import { decodeStrings } from "@millrace/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FeatureServer, startFeatureServer } from "./feature-server.ts";
import { flightPackage } from "./packages.ts";
import { type RunningInference, startInference } from "./start-inference.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-deployments-"));
const declaration = join(folder, "deployments.yaml");
let store: ModelStore;
let features: FeatureServer;
let service: RunningInference;

beforeAll(async () => {
  store = await openModelStore(`oci:${join(folder, "models")}`);
  features = await startFeatureServer();
  service = await startInference([
    ...["--model-store-url", `oci:${join(folder, "models")}`, "--deployments-file", declaration],
    ...["--deployments-poll-ms", "50", "--feature-serving-address", features.address],
    ...["--event-log-url", `log:${join(folder, "log")}`, "--feature-timeout-ms", "400"],
  ]);
}, 60_000);

afterAll(async () => {
  await features.close();
  await store.close();
  rmSync(folder, { recursive: true });
});

/** Puts a declaration where the service looks, at once as a ConfigMap does. */
const declare = (yaml: string) => {
  writeFileSync(`${declaration}.new`, yaml);
  renameSync(`${declaration}.new`, declaration);
};

const deployment = (reference: string, version = 1, more = "") => `
deployments:
  - model: flight_delay
    versions: [{version: ${version}, package: "${reference}"}]
    ${more}
`;

const push = async (...content: Parameters<typeof flightPackage>) => {
  const { digest } = await store.push("flight_delay", flightPackage(...content), ["candidate"]);
  return `flight_delay@${digest}`;
};

/** Waits until a version of a package is in a state, and answers its status. */
const awaitState = async (reference: string, state: State) => {
  for await (const { deployments } of service.deployments.watchStatus({}, { timeoutMs: 20_000 })) {
    const status = deployments.flatMap(({ versions }) => versions).findLast((version) => version.package === reference);
    if (status?.state === state) return status;
    if (status?.state === State.FAILED) throw new Error(status.message);
  }
  throw new Error("The watch ended.");
};

const strings = (name: string, values: string[]) => ({
  name,
  values: { values: { case: "strings" as const, value: { values } } },
});
const doubles = (name: string, values: number[]) => ({
  name,
  values: { values: { case: "doubles" as const, value: { values } } },
});
const predict = (airports: string[], more: object = {}) =>
  service.predictions.predict({
    model: "flight_delay",
    entities: [strings("airport", airports)],
    request: [
      doubles(
        "distance",
        airports.map((_, row) => row),
      ),
    ],
    ...more,
  });
const scores = ({ outputs }: PredictResponse) => [
  ...new Float32Array((outputs[0]?.data ?? new Uint8Array()).slice().buffer),
];

describe("a deployment", () => {
  test("loads by tag, records the digest that the tag had, checks the golden examples, and serves", async () => {
    const { digest } = await store.push("flight_delay", flightPackage(1), ["candidate"]);
    declare(deployment("flight_delay:candidate"));
    const status = await awaitState("flight_delay:candidate", State.READY);
    expect(status).toMatchObject({ digest, version: 1n, goldenExamples: 1, weight: 1, instances: 1 });
    expect((await service.oip.modelMetadata({ name: "flight_delay" })).properties).toMatchObject({
      package_digest: digest,
      package_repository: "flight_delay",
    });
  }, 30_000);

  test("is swapped under load without a failed call, and each answer is one version's", async () => {
    let stop = false;
    const seen = new Map<string, number>();
    const call = async () => {
      while (!stop) {
        const answer = await predict(["ATL", "DALLAS"]);
        const factor = Number(answer.modelVersion);
        expect(scores(answer)).toEqual([30 * factor, 60 * factor + 1]);
        seen.set(answer.modelVersion, (seen.get(answer.modelVersion) ?? 0) + 1);
      }
    };
    const callers = Array.from({ length: 6 }, call);
    for (const version of [2, 3]) {
      const reference = await push(version);
      declare(deployment(reference, version));
      await awaitState(reference, State.READY);
    }
    stop = true;
    await Promise.all(callers);
    expect([...seen.keys()].every((version) => ["1", "2", "3"].includes(version))).toBe(true);
    expect((await predict(["ATL"])).modelVersion).toBe("3");
  }, 60_000);

  describe("never serves, and leaves the one before in force,", () => {
    test("when its golden examples come out differently", async () => {
      const reference = await push(4, { golden: 99 });
      declare(deployment(reference, 4));
      const status = await awaitState(reference, State.FAILED);
      expect(status).toMatchObject({
        reason: "GOLDEN_MISMATCH",
        message: expect.stringMatching(/score\[0\]: expected 99/),
      });
      expect((await predict(["ATL"])).modelVersion).toBe("3");
    }, 30_000);

    test("when a blob of its package is corrupt", async () => {
      const reference = await push(5);
      const blobs = readdirSync(join(folder, "models"), { recursive: true, withFileTypes: true }).filter((entry) =>
        entry.isFile(),
      );
      const model = Buffer.from(flightPackage(5).model);
      const path = blobs
        .map((entry) => join(entry.parentPath, entry.name))
        .find((file) => readFileSync(file).equals(model));
      if (path === undefined) throw new Error("The model's blob was not found.");
      const bytes = readFileSync(path);
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      rmSync(path);
      writeFileSync(path, bytes);
      declare(deployment(reference, 5));
      expect(await awaitState(reference, State.FAILED)).toMatchObject({ reason: "PACKAGE_CORRUPT" });
      expect((await predict(["ATL"])).modelVersion).toBe("3");
    }, 30_000);

    test("when feature-serving has one of its features with another type: the feature is named", async () => {
      const reference = await push(6, { delayType: ValueType.STRING });
      declare(deployment(reference, 6));
      const status = await awaitState(reference, State.FAILED);
      expect(status).toMatchObject({ reason: "SCHEMA_MISMATCH", message: expect.stringMatching(/airport__delay/) });
      const { findings } = await service.deployments.validate({
        declaration: fromJson(DeploymentDeclarationSchema, {
          deployments: [{ model: "flight_delay", versions: [{ version: 6, package: reference }] }],
        }),
      });
      expect(findings).toMatchObject([{ field: "deployments[0].versions[0].package", reason: "SCHEMA_MISMATCH" }]);
    }, 30_000);

    test("when its package is not there", async () => {
      const reference = `flight_delay@sha256:${"0".repeat(64)}`;
      declare(deployment(reference, 7));
      expect(await awaitState(reference, State.FAILED)).toMatchObject({ reason: "PACKAGE_UNKNOWN" });
      expect((await predict(["ATL"])).modelVersion).toBe("3");
    }, 30_000);
  });

  test.each([
    ["is no YAML", "deployments: [", /YAML/],
    ["has a key that the contract lacks", "deployments: [{model: a, verions: []}]", /verions/],
    [
      "has several versions and no weights",
      'deployments: [{model: a, versions: [{version: 1, package: "a:b"}, {version: 2, package: "a:c"}]}]',
      /deployments\[0\].versions: expected a weight above 0 for at least one of several versions/,
    ],
    [
      "has a delay without a unit",
      deployment("a:b", 1, "batching: {maxQueueDelay: '5'}"),
      /max_queue_delay: expected a duration/,
    ],
  ])("whose declaration %s is refused with its field, and changes nothing", async (_, yaml, message) => {
    const seen = service.log.length;
    declare(yaml);
    const refused = () => service.log.slice(seen).find(({ msg }) => /is refused/.test(String(msg)));
    while (refused() === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(JSON.stringify(refused())).toMatch(message);
    expect((await predict(["ATL"])).modelVersion).toBe("3");
  });
});

describe("a package that is not there yet", () => {
  test("is served when it has been pushed", async () => {
    declare(`
deployments:
  - {model: flight_delay, versions: [{version: 3, package: "flight_delay:candidate"}]}
  - {model: later, versions: [{version: 1, package: "later:candidate"}]}
`);
    expect(await awaitState("later:candidate", State.FAILED)).toMatchObject({ reason: "PACKAGE_UNKNOWN" });
    await store.push("later", flightPackage(2), ["candidate"]);
    for await (const { deployments } of service.deployments.watchStatus({ model: "later" }, { timeoutMs: 20_000 })) {
      if (deployments[0]?.versions.at(-1)?.state === State.READY) break;
    }
    expect((await service.oip.modelReady({ name: "later" })).ready).toBe(true);
  }, 30_000);
});

describe("Predict", () => {
  beforeAll(async () => {
    const reference = await push(3);
    declare(deployment(reference, 8));
    await awaitState(reference, State.READY);
  }, 30_000);

  test("fills the graph from features and request, a null as NaN or the empty string, and says what was served", async () => {
    const answer = await predict(["ATL", "", "JFK"], { withFeatures: true });
    expect(scores(answer)).toEqual([90, 1, 92]);
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
    expect(scores(answer)).toEqual(airports.map((name, row) => name.length * 30 + row));
    expect(features.requests.length).toBe(before + 1);
    expect(features.requests.at(-1)).toMatchObject({
      selection: { value: "flights" },
      atUs: airports.map((_, row) => BigInt(row)),
    });
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

  test("refuses rows without a feature where the deployment says so", async () => {
    const reference = await push(3.5);
    declare(deployment(reference, 9, "features: {onMissing: REFUSE}"));
    await awaitState(reference, State.READY);
    await expect(predict(["ATL", ""])).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/airport__delay\[1\]: expected a value, got NOT_FOUND/),
    });
  }, 30_000);
});

describe("the prediction log", () => {
  test("has each prediction as a CloudEvent under its id, also what was only buffered when the service stopped", async () => {
    const reference = await push(10);
    declare(deployment(reference, 10, "predictionLog: {acknowledge: BEFORE_RESPONSE}"));
    await awaitState(reference, State.READY);
    await predict(["ATL"], { predictionIds: ["durable"], atUs: [1_500_000n] });
    const other = await push(11);
    declare(deployment(other, 11));
    await awaitState(other, State.READY);
    await predict(["JFK", ""], { predictionIds: ["first", "second"] });
    expect(await service.stop()).toBe(0);

    const log = await openEventLog(`log:${join(folder, "log")}`);
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
