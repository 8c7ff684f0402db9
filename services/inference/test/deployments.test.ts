import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { DeploymentDeclarationSchema } from "@millrace/contracts/millrace/inference/v1/deployment";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { PredictResponse } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DeployedService, startDeployedService } from "./deployed-service.ts";
import { type FeatureServer, startFeatureServer } from "./feature-server.ts";
import { flightPackage, scalePackage } from "./packages.ts";
import { floatRequest } from "./tensors.ts";

let deployed: DeployedService;
let features: FeatureServer;

beforeAll(async () => {
  features = await startFeatureServer();
  deployed = await startDeployedService(["--feature-serving-address", features.address, "--tag-look-ms", "50"]);
}, 60_000);

afterAll(async () => {
  await features.close();
  await deployed.close();
});

const deployment = (reference: string, version = 1, more = "") => `
deployments:
  - model: flight_delay
    versions: [{version: ${version}, package: "${reference}"}]
    ${more}
`;

const push = (...content: Parameters<typeof flightPackage>) =>
  deployed.push("flight_delay", flightPackage(...content), ["candidate"]);

const strings = (name: string, values: string[]) => ({
  name,
  values: { values: { case: "strings" as const, value: { values } } },
});
const doubles = (name: string, values: number[]) => ({
  name,
  values: { values: { case: "doubles" as const, value: { values } } },
});
const predict = (airports: string[], more: object = {}) =>
  deployed.service.predictions.predict({
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
    const { digest } = await deployed.store.push("flight_delay", flightPackage(1), ["candidate"]);
    deployed.declare(deployment("flight_delay:candidate"));
    const status = await deployed.awaitState("flight_delay:candidate", State.READY);
    expect(status).toMatchObject({ digest, version: 1n, goldenExamples: 1, weight: 1, instances: 1 });
    expect((await deployed.service.oip.modelMetadata({ name: "flight_delay" })).properties).toMatchObject({
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
      deployed.declare(deployment(reference, version));
      await deployed.awaitState(reference, State.READY);
    }
    stop = true;
    await Promise.all(callers);
    expect([...seen.keys()].every((version) => ["1", "2", "3"].includes(version))).toBe(true);
    expect((await predict(["ATL"])).modelVersion).toBe("3");
  }, 60_000);

  describe("never serves, and leaves the one before in force,", () => {
    test("when its golden examples come out differently", async () => {
      const reference = await push(4, { golden: 99 });
      deployed.declare(deployment(reference, 4));
      const status = await deployed.awaitState(reference, State.FAILED);
      expect(status).toMatchObject({
        reason: "GOLDEN_MISMATCH",
        message: expect.stringMatching(/score\[0\]: expected 99/),
      });
      expect((await predict(["ATL"])).modelVersion).toBe("3");
    }, 30_000);

    test("when a blob of its package is corrupt", async () => {
      const reference = await push(5);
      const blobs = readdirSync(join(deployed.folder, "models"), { recursive: true, withFileTypes: true }).filter(
        (entry) => entry.isFile(),
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
      deployed.declare(deployment(reference, 5));
      expect(await deployed.awaitState(reference, State.FAILED)).toMatchObject({ reason: "PACKAGE_CORRUPT" });
      expect((await predict(["ATL"])).modelVersion).toBe("3");
    }, 30_000);

    test("when feature-serving has one of its features with another type: the feature is named", async () => {
      const reference = await push(6, { delayType: ValueType.STRING });
      deployed.declare(deployment(reference, 6));
      const status = await deployed.awaitState(reference, State.FAILED);
      expect(status).toMatchObject({ reason: "SCHEMA_MISMATCH", message: expect.stringMatching(/airport__delay/) });
      const { findings } = await deployed.service.deployments.validate({
        declaration: fromJson(DeploymentDeclarationSchema, {
          deployments: [{ model: "flight_delay", versions: [{ version: 6, package: reference }] }],
        }),
      });
      expect(findings).toMatchObject([{ field: "deployments[0].versions[0].package", reason: "SCHEMA_MISMATCH" }]);
    }, 30_000);

    test("when its package is not there", async () => {
      const reference = `flight_delay@sha256:${"0".repeat(64)}`;
      deployed.declare(deployment(reference, 7));
      expect(await deployed.awaitState(reference, State.FAILED)).toMatchObject({ reason: "PACKAGE_UNKNOWN" });
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
    ["names an alias that there is none of", "deployments: *typo", /typo/],
    [
      "has a password in the URL of its payload log",
      deployment("a:b", 1, 'payloadLog: {url: "http://user:secret-word@host/"}'),
      /payload_log.url: expected a URL of http or https without user or password, got one of http:\/\/host/,
    ],
  ])("whose declaration %s is refused with its field, and changes nothing", async (_, yaml, message) => {
    const seen = deployed.service.log.length;
    deployed.declare(yaml);
    const refused = () => deployed.service.log.slice(seen).find(({ msg }) => /is refused/.test(String(msg)));
    while (refused() === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(JSON.stringify(refused())).toMatch(message);
    expect(JSON.stringify(refused())).not.toMatch(/secret-word/);
    expect((await predict(["ATL"])).modelVersion).toBe("3");
  });
});

test("a deployments file that cannot be read stops nothing, and is in force again when it can be", async () => {
  const text = readFileSync(deployed.file, "utf8");
  rmSync(deployed.file);
  mkdirSync(deployed.file);
  await deployed.awaitStatus(({ declaration }) => /cannot be read/.test(declaration?.message ?? ""));
  expect((await predict(["ATL"])).modelVersion).toBe("3");
  rmSync(deployed.file, { recursive: true });
  deployed.declare(text);
  await deployed.awaitStatus(({ declaration }) => !/cannot be read/.test(declaration?.message ?? ""));
  expect((await predict(["ATL"])).modelVersion).toBe("3");
}, 30_000);

describe("a package that is not there yet", () => {
  test("is served when it has been pushed", async () => {
    deployed.declare(`
deployments:
  - {model: flight_delay, versions: [{version: 3, package: "flight_delay:candidate"}]}
  - {model: later, versions: [{version: 1, package: "later:candidate"}]}
`);
    expect(await deployed.awaitState("later:candidate", State.FAILED)).toMatchObject({ reason: "PACKAGE_UNKNOWN" });
    await deployed.store.push("later", flightPackage(2), ["candidate"]);
    for await (const { deployments } of deployed.service.deployments.watchStatus(
      { model: "later" },
      { timeoutMs: 20_000 },
    )) {
      if (deployments[0]?.versions.at(-1)?.state === State.READY) break;
    }
    expect((await deployed.service.oip.modelReady({ name: "later" })).ready).toBe(true);
  }, 30_000);
});

test("queues, cache, threads, instances and providers of a deployment are those that it runs with", async () => {
  const reference = await deployed.push("scale", scalePackage(6));
  deployed.declare(`
deployments:
  - model: tuned
    versions: [{version: 6, package: "${reference}"}]
    instances: 2
    intraOpThreads: 2
    executionProviders: [cuda, cpu]
    responseCache: {maxBytes: 10000, timeToLive: 1m}
    batching:
      maxBatchSize: 16
      maxQueueDelay: 1ms
      preferredBatchSizes: [4, 8]
      priorityLevels: 3
      defaultPriorityLevel: 2
      defaultQueuePolicy: {defaultTimeout: 9s}
      priorityQueuePolicies: {3: {timeoutAction: DELAY, defaultTimeout: 50ms, allowTimeoutOverride: true, maxQueueSize: 7}}
      preserveOrdering: true
`);
  const { versions } = await deployed.awaitInForce("tuned");
  expect(versions[0]).toMatchObject({ instances: 2, executionProvider: expect.stringMatching(/^cpu: .*cuda/) });
  const { config } = await deployed.service.oip.modelConfig({ name: "tuned" });
  expect(config).toMatchObject({
    maxBatchSize: 16,
    instanceGroup: [{ count: 2 }],
    responseCache: { enable: true },
    schedulingChoice: {
      case: "dynamicBatching",
      value: {
        preferredBatchSize: [4, 8],
        maxQueueDelayMicroseconds: 1000n,
        preserveOrdering: true,
        priorityLevels: 3n,
        defaultPriorityLevel: 2n,
        defaultQueuePolicy: { defaultTimeoutMicroseconds: 9_000_000n },
      },
    },
  });
  for (let call = 0; call < 3; call++) await deployed.service.oip.modelInfer(floatRequest("tuned", [1], [1, 1]));
  const { modelStats } = await deployed.service.oip.modelStatistics({ name: "tuned" });
  expect(modelStats[0]?.inferenceStats?.cacheHit?.count).toBe(2n);
}, 30_000);

test("Predict keeps an entity on one version, by the first row of a call, and shadows get copies of it", async () => {
  const [one, two] = [await push(1), await push(2)];
  deployed.declare(`
deployments:
  - model: flight_delay
    versions: [{version: 1, package: "${one}", weight: 1}, {version: 2, package: "${two}", weight: 1}]
    sticky: {entity: airport}
`);
  await deployed.awaitInForce("flight_delay");
  const airports = Array.from({ length: 30 }, (_, index) => `A${index}`);
  const versionsOf = async (rows: (airport: string) => string[]) =>
    await Promise.all(airports.map(async (airport) => (await predict(rows(airport))).modelVersion));
  const first = await versionsOf((airport) => [airport]);
  expect(new Set(first)).toEqual(new Set(["1", "2"]));
  expect(await versionsOf((airport) => [airport, "another"])).toEqual(first);
  deployed.declare(`
deployments:
  - model: flight_delay
    versions: [{version: 1, package: "${one}"}, {version: 2, package: "${two}", shadow: true}]
`);
  await deployed.awaitInForce("flight_delay");
  expect((await predict(["ATL", "DALLAS"])).modelVersion).toBe("1");
  const line = 'millrace_shadow_compared_total{model="flight_delay",version="1",shadow="2",outcome="DIFFERENT"} 1';
  while (!(await (await fetch(deployed.service.metricsUrl)).text()).includes(line)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}, 30_000);

describe("a tag that moves", () => {
  test("is told in the log and the status, loads nothing, and is forgotten when it comes back", async () => {
    const first = await deployed.push("scale", scalePackage(1), ["live"]);
    deployed.declare('deployments: [{model: scale, versions: [{version: 1, package: "scale:live"}]}]');
    await deployed.awaitState("scale:live", State.READY);
    const second = await deployed.push("scale", scalePackage(2), ["live"]);
    const moved = await deployed.awaitStatus(({ deployments }) =>
      /has moved/.test(deployments[0]?.versions[0]?.message ?? ""),
    );
    expect(moved.deployments[0]?.versions).toMatchObject([
      { state: State.READY, digest: first.split("@")[1], message: expect.stringContaining(second.split("@")[1] ?? "") },
    ]);
    const line = { model: "scale", version: "1", to: second.split("@")[1] };
    expect(deployed.service.log).toContainEqual(expect.objectContaining(line));
    await deployed.store.tag("scale", first.slice("scale@".length), "live");
    await deployed.awaitStatus(({ deployments }) => deployments[0]?.versions[0]?.message === "");
  }, 30_000);
});
