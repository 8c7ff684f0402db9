import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { PredictResponse } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import { decodeStrings } from "@millrace/tensor";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { declarationHash, parseDeclaration } from "../src/deployment/parse-declaration.ts";
import { type DeployedService, startDeployedService } from "./deployed-service.ts";
import { type FeatureServer, startFeatureServer } from "./feature-server.ts";
import { predictFlights, scoresOf } from "./flight-rows.ts";
import { flightPackage } from "./packages.ts";

let deployed: DeployedService;
let features: FeatureServer;
let reference: string;

beforeAll(async () => {
  features = await startFeatureServer();
  deployed = await startDeployedService(["--feature-serving-address", features.address]);
  // Of the score, three times the delay and the row.
  reference = await deployed.push("flight_delay", flightPackage(3));
  await govern("");
}, 60_000);

afterAll(async () => {
  await features.close();
  await deployed.close();
});

/** Puts what a deployment says beside its versions in force. The version is loaded once. */
const govern = async (policy: string, more = "") => {
  deployed.declare(`
deployments:
  - model: flight_delay
    versions: [{version: 1, package: "${reference}"}]
    ${policy === "" ? "" : `features: ${policy}`}
    ${more}
`);
  await deployed.awaitInForce("flight_delay");
};

/** Declares what does not fit, and answers why it is not in force. */
const refusal = async (policy: string) => {
  const yaml = `
deployments:
  - model: flight_delay
    versions: [{version: 1, package: "${reference}"}]
    features: ${policy}
`;
  deployed.declare(yaml);
  const { deployments } = await deployed.awaitStatus(({ deployments }) =>
    deployments.some(({ pendingHash }) => pendingHash === declarationHash(yaml)),
  );
  return deployments[0]?.message;
};

const predict = (airports: string[], more: object = {}, options: { timeoutMs?: number } = {}) =>
  predictFlights(deployed.service, airports, more, options);

const delayOf = ({ features }: PredictResponse) => features.find(({ name }) => name === "airport__delay");
const nameOf = ({ outputs }: PredictResponse, rows: number) =>
  decodeStrings("airport", outputs[1]?.data ?? new Uint8Array(), rows);

/** What is counted of values that were not there, by view and event. */
const counted = async (event: string): Promise<number> => {
  const text = await (await fetch(deployed.service.metricsUrl)).text();
  const line = `millrace_prediction_feature_values_total{model="flight_delay",feature_view="airport",event="${event}"} `;
  return Number(
    text
      .split("\n")
      .find((each) => each.startsWith(line))
      ?.slice(line.length) ?? 0,
  );
};

describe("a value that is missing or too old", () => {
  test("is null for the graph where the deployment says nothing", async () => {
    await govern("");
    const before = [await counted("MISSING"), await counted("STALE")];
    const answer = await predict(["ATL", "", "old"]);
    expect(scoresOf(answer)).toEqual([90, 1, 2]);
    expect([...(delayOf(answer)?.statuses ?? [])]).toEqual([
      FeatureStatus.PRESENT,
      FeatureStatus.NOT_FOUND,
      FeatureStatus.OUTSIDE_MAX_AGE,
    ]);
    // Two features of the view have no row for the airport without letters, one is too old for the other.
    expect([await counted("MISSING"), await counted("STALE")]).toEqual([(before[0] ?? 0) + 2, (before[1] ?? 0) + 1]);
  });

  test("is refused where the deployment says so, with its row, and counted", async () => {
    await govern("{onMissing: REFUSE}");
    const before = await counted("REFUSED");
    await expect(predict(["ATL", ""])).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "FEATURES_UNAVAILABLE",
      message: expect.stringMatching(/airport__delay\[1\]: expected a value, got NOT_FOUND/),
    });
    // What is too old follows onMissing, where nothing else is said of it.
    await expect(predict(["old"])).rejects.toThrow(/airport__delay\[0\]: expected a value, got OUTSIDE_MAX_AGE/);
    expect(await counted("REFUSED")).toBe(before + 3);
    await govern("{onMissing: REFUSE, onStale: IMPUTE}");
    expect(scoresOf(await predict(["old"]))).toEqual([0]);
  });

  test("is a default that the deployment declares, which the answer tells from what was served", async () => {
    await govern("{onMissing: DEFAULT, onStale: IMPUTE, overrides: {airport__delay: {default: 7}}}");
    const before = await counted("DEFAULTED");
    const answer = await predict(["ATL", "", "old"], { withFeatures: true });
    expect(scoresOf(answer)).toEqual([90, 22, 2]);
    const delay = delayOf(answer);
    expect([...(delay?.defaulted ?? [])]).toEqual([0, 1, 0]);
    expect(delay?.statuses[1]).toBe(FeatureStatus.NOT_FOUND);
    expect(delay?.values?.values).toMatchObject({ case: "doubles", value: { values: [30, 7, 0] } });
    // The name has no default: null.
    expect(nameOf(answer, 3)).toEqual(["ATL", "", "old"]);
    expect(await counted("DEFAULTED")).toBe(before + 1);
  });

  test("follows its feature's word first, then its view's, then the deployment's", async () => {
    await govern(
      `{onMissing: REFUSE, overrides: {airport: {onMissing: DEFAULT, onStale: REFUSE}, airport__name: {default: none}, airport__delay: {onMissing: IMPUTE}}}`,
    );
    const answer = await predict(["", "ATL"]);
    expect([scoresOf(answer), nameOf(answer, 2)]).toEqual([
      [0, 91],
      ["none", "ATL"],
    ]);
    await expect(predict(["old"])).rejects.toThrow(/airport__delay\[0\]: expected a value, got OUTSIDE_MAX_AGE/);
  });
});

describe("a default", () => {
  test("that is not of its feature's type keeps the declaration from being in force, and names its field", async () => {
    await govern("{onMissing: REFUSE}");
    expect(await refusal("{onMissing: DEFAULT, overrides: {airport__delay: {default: seven}}}")).toBe(
      `deployments[0].features.overrides[airport__delay].default: expected a number, since airport__delay is DOUBLE, got "seven".`,
    );
    expect(await refusal("{onMissing: DEFAULT, overrides: {airport: {default: 1}}}")).toMatch(
      /^deployments\[0\]\.features\.overrides\[airport\]\.default: expected a text, since airport__name is STRING/,
    );
    expect(await refusal("{overrides: {weather__rain: {onMissing: IMPUTE}}}")).toMatch(
      /^deployments\[0\]\.features\.overrides\[weather__rain\]: expected a feature that the model reads, or its view: airport__delay, airport__name, got weather__rain/,
    );
    // What was in force before goes on.
    await expect(predict([""])).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  test("is checked by Validate as well", async () => {
    const { declaration } = parseDeclaration(`
deployments:
  - model: flight_delay
    versions: [{version: 1, package: "${reference}"}]
    features: {onMissing: DEFAULT, overrides: {airport__delay: {default: true}}}
`);
    const { findings } = await deployed.service.deployments.validate({ declaration });
    expect(findings).toMatchObject([
      { field: "deployments[0].features.overrides[airport__delay].default", reason: "DECLARATION_INVALID" },
    ]);
  });

  test("that nothing reads, or that is no single value, is refused with the declaration", async () => {
    const { declaration } = parseDeclaration(`
deployments:
  - model: flight_delay
    versions: [{version: 1, package: "${reference}"}]
    features: {overrides: {airport__delay: {default: 1}, airport__name: {onMissing: DEFAULT, default: [a]}}}
`);
    const { findings } = await deployed.service.deployments.validate({ declaration });
    expect(findings.map(({ field, message }) => `${field}: ${message}`)).toEqual([
      "deployments[0].features.overrides[airport__name].default: expected a bool, a number or a text, got a list",
      "deployments[0].features.overrides[airport__delay].default: expected DEFAULT as one of its actions, so that it is read, got a default that nothing reads",
    ]);
  });
});

describe("while feature-serving is away", () => {
  beforeEach(async () => {
    await features.close();
  });

  afterEach(async () => {
    const port = Number(features.address.split(":")[1]);
    features = await startFeatureServer(port);
    for (;;) {
      if ((await predict(["ATL"]).catch(() => undefined))?.featuresAsOf === "as-of-1") return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }, 30_000);

  test("a call fails where nothing is said of that", async () => {
    await govern("{onMissing: DEFAULT}");
    await expect(predict(["ATL"])).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "FEATURES_UNAVAILABLE" });
  }, 30_000);

  test("a call is answered from nulls where they are imputed, and its statuses say why", async () => {
    await govern("{onUnavailable: IMPUTE}");
    const before = await counted("UNAVAILABLE");
    const answer = await predict(["ATL", "JFK"], { withFeatures: true });
    expect([scoresOf(answer), nameOf(answer, 2)]).toEqual([
      [0, 1],
      ["", ""],
    ]);
    expect(answer.features.map(({ name, statuses }) => [name, ...statuses])).toEqual([
      ["airport__delay", FeatureStatus.UNAVAILABLE, FeatureStatus.UNAVAILABLE],
      ["airport__name", FeatureStatus.UNAVAILABLE, FeatureStatus.UNAVAILABLE],
    ]);
    expect(answer.featuresAsOf).toBe("");
    expect(await counted("UNAVAILABLE")).toBe(before + 4);
  }, 30_000);

  test("a call is answered from defaults where they are declared, and fails where one feature may not be", async () => {
    await govern(
      "{onUnavailable: DEFAULT, overrides: {airport__delay: {default: 2.5}, airport__name: {default: somewhere}}}",
    );
    const answer = await predict(["ATL"], { withFeatures: true });
    expect([scoresOf(answer), nameOf(answer, 1)]).toEqual([[7.5], ["somewhere"]]);
    expect(delayOf(answer)?.values?.values).toMatchObject({ case: "doubles", value: { values: [2.5] } });
    await govern("{onUnavailable: IMPUTE, overrides: {airport__name: {onUnavailable: REFUSE}}}");
    await expect(predict(["ATL"])).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "FEATURES_UNAVAILABLE" });
  }, 30_000);

  test("a restart serves where the features may be done without, and checks them when they are there again", async () => {
    const port = Number(features.address.split(":")[1]);
    const statusOf = async () => (await deployed.service.deployments.getStatus({})).deployments[0]?.versions[0];
    await govern("{onUnavailable: IMPUTE}");
    await deployed.killAndRestart();
    await deployed.awaitState(reference, State.READY);
    expect(scoresOf(await predict(["ATL"]))).toEqual([0]);
    expect(await statusOf()).toMatchObject({
      reason: "FEATURES_UNAVAILABLE",
      message: expect.stringMatching(/not checked yet/),
    });
    features = await startFeatureServer(port);
    features.types.delay = ValueType.STRING;
    await expect.poll(statusOf, { timeout: 10_000 }).toMatchObject({ state: State.FAILED, reason: "SCHEMA_MISMATCH" });
    await expect(predict(["ATL"])).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "MODEL_NOT_READY" });
    features.types.delay = ValueType.DOUBLE;
    await expect.poll(statusOf, { timeout: 15_000 }).toMatchObject({ state: State.READY, reason: "", message: "" });
    await features.close();
  }, 60_000);

  test("a column of the request that the model reads is still asked for", async () => {
    await govern("{onUnavailable: IMPUTE}");
    await expect(predict(["ATL"], { request: [] })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(/request: expected a column distance, which flight_delay reads, got none/),
    });
  }, 30_000);

  test("calls in the middle of traffic are answered, and then again from features", async () => {
    await govern("{onUnavailable: IMPUTE}");
    const port = Number(features.address.split(":")[1]);
    features = await startFeatureServer(port);
    const seen = new Set<string>();
    const failures: unknown[] = [];
    let ended = false;
    const traffic = Array.from({ length: 4 }, async () => {
      while (!ended) {
        const answer = await predict(["ATL"], {}, { timeoutMs: 5000 }).catch((error: unknown) => failures.push(error));
        if (typeof answer !== "number") seen.add(`${answer.featuresAsOf} ${scoresOf(answer)}`);
      }
    });
    const answered = async (what: string) => {
      seen.clear();
      while (!seen.has(what)) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    await answered("as-of-1 90");
    await features.close();
    await answered(" 0");
    features = await startFeatureServer(port);
    await answered("as-of-1 90");
    ended = true;
    await Promise.all(traffic);
    expect(failures).toEqual([]);
    await features.close();
  }, 30_000);
});

describe("the deadline of a call", () => {
  test("is split: the model has its part left where feature-serving hangs", async () => {
    await govern("{onUnavailable: IMPUTE, deadlineShare: 0.2}");
    features.before = () => new Promise((resolve) => setTimeout(resolve, 5000));
    // More than open the circuit, so that calls that make no call to feature-serving are among them.
    for (let call = 0; call < 7; call++) {
      expect(scoresOf(await predict(["ATL"], {}, { timeoutMs: 2000 }))).toEqual([0]);
    }
    features.before = async () => {};
    while ((await predict(["ATL"])).featuresAsOf === "") await new Promise((resolve) => setTimeout(resolve, 50));
    const text = await (await fetch(deployed.service.metricsUrl)).text();
    for (const outcome of ["SERVED", "UNAVAILABLE", "SKIPPED"]) {
      expect(text).toMatch(new RegExp(`millrace_prediction_features_seconds_count\\{outcome="${outcome}"\\} [1-9]`));
    }
  }, 30_000);
});

describe("the terms of a deployment", () => {
  test("limit the size of Predict's messages", async () => {
    await govern("", "limits: {maxMessageBytes: 200}");
    expect(scoresOf(await predict(["ATL"]))).toEqual([90]);
    await expect(predict(Array.from({ length: 50 }, () => "ATL"))).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      reason: "TOO_LARGE",
      message: expect.stringMatching(/flight_delay may have 200 bytes; this one has \d{3,}/),
    });
  });

  test("keep the calls of one entity on one version", async () => {
    const second = await deployed.push("flight_delay", flightPackage(5, { delayType: ValueType.DOUBLE }));
    deployed.declare(`
deployments:
  - model: flight_delay
    versions: [{version: 1, package: "${reference}", weight: 1}, {version: 2, package: "${second}", weight: 1}]
    sticky: {entity: airport}
`);
    await deployed.awaitState(second, State.READY);
    await deployed.awaitInForce("flight_delay");
    const versionOf = new Map<string, string>();
    for (let round = 0; round < 3; round++) {
      for (let airport = 0; airport < 24; airport++) {
        const name = `A${airport}`;
        const { modelVersion } = await predict([name, "other"]);
        expect(modelVersion).toBe(versionOf.get(name) ?? modelVersion);
        versionOf.set(name, modelVersion);
      }
    }
    expect(new Set(versionOf.values())).toEqual(new Set(["1", "2"]));
  }, 30_000);
});
