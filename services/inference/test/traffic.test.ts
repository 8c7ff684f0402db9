import { create } from "@bufbuild/protobuf";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DeployedService, startDeployedService } from "./deployed-service.ts";
import { identityModel, scaleModel, slowModel } from "./models.ts";
import { scalePackage } from "./packages.ts";
import { floatRequest, floats } from "./tensors.ts";

let deployed: DeployedService;
/** References by factor. */
const packages = new Map<number, string>();

beforeAll(async () => {
  deployed = await startDeployedService();
  for (const factor of [1, 2, 3, 4]) packages.set(factor, await deployed.push("scale", scalePackage(factor)));
}, 60_000);

afterAll(() => deployed.close());

/** Declares versions whose packages answer with the version's number. */
const declare = (versions: readonly string[], more = "") =>
  deployed.declare(`
deployments:
  - model: scale
    versions:
${versions.map((version) => `      - {${version.replace(/^(\d+)/, (text) => `version: ${text}, package: "${packages.get(Number(text))}"`)}}`).join("\n")}
    ${more}
`);

/** Waits until the newest declaration is in force for the model, and answers its versions. */
const inForce = async () =>
  (await deployed.awaitInForce("scale")).versions.filter(({ state }) => state !== State.UNLOADED);
const sharesOf = (versions: readonly { readonly version: bigint; readonly state: State; readonly weight: number }[]) =>
  Object.fromEntries(
    versions.filter(({ state }) => state === State.READY).map(({ version, weight }) => [String(version), weight]),
  );

/** The version that answers, by its answer and by its name. */
const ask = async (headers: Readonly<Record<string, string>> = {}, more: object = {}) => {
  const answer = await deployed.service.oip.modelInfer(
    { ...floatRequest("scale", [1], [1, 1]), ...more },
    { metadata: headers },
  );
  expect(floats(answer)).toEqual([Number(answer.modelVersion)]);
  return Number(answer.modelVersion);
};
async function* stream<T>(requests: readonly T[]): AsyncIterable<T> {
  yield* requests;
}
const countVersions = async (calls: number, call: (index: number) => Promise<number>) => {
  const counts: Record<number, number> = {};
  const atOnce = 50;
  for (let first = 0; first < calls; first += atOnce) {
    const wave = Array.from({ length: Math.min(atOnce, calls - first) }, (_, index) => call(first + index));
    for (const version of await Promise.all(wave)) counts[version] = (counts[version] ?? 0) + 1;
  }
  return counts;
};
const metric = async (line: RegExp) => {
  const response = await fetch(deployed.service.metricsUrl);
  if (!response.ok) throw new Error(`The metrics answer ${response.status}.`);
  const text = await response.text();
  return Number(line.exec(text)?.[1] ?? 0);
};

describe("several versions behind a name", () => {
  test("share the calls by weight, and each answers calls that name it", async () => {
    declare(["1, weight: 90", "2, weight: 10", "3, weight: 0"]);
    const versions = await inForce();
    expect(sharesOf(versions)).toEqual({ 1: 0.9, 2: 0.1, 3: 0 });
    const counts = await countVersions(1000, () => ask());
    // The binomial's tail beyond these is below one in a thousand million.
    expect(counts[2]).toBeGreaterThan(40);
    expect(counts[2]).toBeLessThan(170);
    expect((counts[1] ?? 0) + (counts[2] ?? 0)).toBe(1000);
    for (const version of [1, 2, 3]) expect(await ask({}, { modelVersion: String(version) })).toBe(version);
  }, 30_000);

  test("change their weights, headers, sticky key, shadows and policies without a load", async () => {
    const before = await inForce();
    const loads = deployed.service.log.filter(({ msg }) => /Serves scale version/.test(String(msg))).length;
    declare(
      ["1, weight: 0", "2, weight: 100, header: 'X-Two: yes'", "3, shadow: true"],
      "limits: {maxMessageBytes: 60, maxRunTime: 7s}",
    );
    const after = await inForce();
    expect(sharesOf(after)).toEqual({ 1: 0, 2: 1, 3: 0 });
    expect(after.map(({ since, digest }) => [since, digest])).toEqual(
      before.map(({ since, digest }) => [since, digest]),
    );
    expect(after.map(({ shadow, header }) => [shadow, header])).toEqual([
      [false, ""],
      [false, "x-two: yes"],
      [true, ""],
    ]);
    expect(deployed.service.log.filter(({ msg }) => /Serves scale version/.test(String(msg))).length).toBe(loads);
    await expect(ask({}, { id: "x".repeat(100) })).rejects.toMatchObject({ reason: "TOO_LARGE" });
  }, 30_000);

  test("answer the calls that carry their header, in any case of its name", async () => {
    declare(["1", "2, header: 'x-canary: yes'", "3, header: X-Next"]);
    await inForce();
    expect(await countVersions(20, () => ask())).toEqual({ 1: 20 });
    expect(await countVersions(20, () => ask({ "x-canary": "no" }))).toEqual({ 1: 20 });
    expect(await countVersions(20, () => ask({ "X-Canary": "yes" }))).toEqual({ 2: 20 });
    expect(await ask({ "x-next": "anything" })).toBe(3);
  }, 30_000);

  test("keep the calls of a key on one version, also over streams and REST, and move only keys of the version that loses", async () => {
    const users = Array.from({ length: 60 }, (_, index) => `user ${index}`);
    declare(["1, weight: 50", "2, weight: 50"], "sticky: {header: X-User}");
    await inForce();
    const first = await Promise.all(users.map((user) => ask({ "x-user": user })));
    expect(await Promise.all(users.map((user) => ask({ "x-user": user })))).toEqual(first);
    expect(new Set(first)).toEqual(new Set([1, 2]));
    declare(["1, weight: 20", "2, weight: 80"], "sticky: {parameter: user}");
    await inForce();
    const parameters = (user: string) => ({ user: { parameterChoice: { case: "stringParam", value: user } as const } });
    const later = await Promise.all(users.map((user) => ask({}, { parameters: parameters(user) })));
    for (const [index, version] of first.entries()) if (version === 2) expect(later[index]).toBe(2);
    const requests = users.map((user) => ({ ...floatRequest("scale", [1], [1, 1]), parameters: parameters(user) }));
    const streamed: number[] = [];
    for await (const { inferResponse } of deployed.service.oip.modelStreamInfer(stream(requests))) {
      streamed.push(Number(inferResponse?.modelVersion));
    }
    expect(streamed).toEqual(later);
    const overRest = async (user: string) => {
      const response = await fetch(`${deployed.service.restUrl}/v2/models/scale/infer`, {
        method: "POST",
        body: JSON.stringify({
          inputs: [{ name: "x", datatype: "FP32", shape: [1, 1], data: [1] }],
          parameters: { user },
        }),
      });
      return Number(((await response.json()) as { model_version: string }).model_version);
    };
    expect(await Promise.all(users.slice(0, 20).map(overRest))).toEqual(later.slice(0, 20));
  }, 30_000);
});

test("a shorter time for runs holds from the next run on, without a load", async () => {
  const content = { ...scalePackage(1, slowModel(20)), golden: undefined };
  const reference = await deployed.push("slow", {
    ...content,
    manifest: create(ModelPackageSchema, { name: "slow" }),
  });
  const slow = (limit: string) =>
    deployed.declare(
      `deployments: [{model: slow, versions: [{version: 1, package: "${reference}"}], limits: {maxRunTime: ${limit}}}]`,
    );
  slow("30s");
  const { since } = await deployed.awaitState(reference, State.READY);
  await deployed.service.oip.modelInfer(floatRequest("slow", [1], [1]));
  slow("1ms");
  await deployed.awaitInForce("slow");
  await expect(deployed.service.oip.modelInfer(floatRequest("slow", [1], [1]))).rejects.toMatchObject({
    message: expect.stringMatching(/running for more than 1 ms/),
  });
  expect((await deployed.awaitState(reference, State.READY)).since).toEqual(since);
}, 30_000);

describe("a new version", () => {
  test("that fails its golden examples never serves: its weight falls to the others, and the status says why", async () => {
    packages.set(9, await deployed.push("scale", scalePackage(9, scaleModel(9), 99)));
    declare(["1, weight: 50", "2, weight: 30", "9, weight: 20"]);
    const versions = await inForce();
    expect(sharesOf(versions)).toEqual({ 1: 0.625, 2: 0.375 });
    expect(versions.find(({ version }) => version === 9n)).toMatchObject({
      state: State.FAILED,
      reason: "GOLDEN_MISMATCH",
      weight: 0,
    });
    await expect(ask({}, { modelVersion: "9" })).rejects.toMatchObject({ code: "UNAVAILABLE" });
  }, 30_000);

  test("that alone has weight and fails leaves the declaration before in force, and the status says so", async () => {
    const before = await inForce();
    declare(["1, weight: 0", "9, weight: 100"]);
    const { deployments } = await deployed.awaitStatus(
      ({ deployments, declaration }) =>
        deployments[0]?.pendingHash === declaration?.hash && /None of the versions/.test(deployments[0]?.message ?? ""),
    );
    expect(deployments[0]?.declarationHash).not.toBe(deployments[0]?.pendingHash);
    expect(sharesOf(deployments[0]?.versions ?? [])).toEqual(sharesOf(before));
  }, 30_000);

  test("of other tensors shares no traffic with the one that has more, and may be named by callers", async () => {
    packages.set(5, await deployed.push("other", { ...scalePackage(5, identityModel("FP64", 3)), golden: undefined }));
    declare(["1, weight: 90", "5, weight: 10"]);
    const versions = await inForce();
    expect(versions.find(({ version }) => version === 5n)).toMatchObject({
      state: State.FAILED,
      reason: "MODEL_INVALID",
      message: expect.stringMatching(/its input x is FP64 \[-1, 3\], the other's FP32 \[-1, 1\]/),
    });
    declare(["1, weight: 90", "5, weight: 0"]);
    await inForce();
    expect((await deployed.service.oip.modelMetadata({ name: "scale", version: "5" })).inputs[0]?.datatype).toBe(
      "FP64",
    );
  }, 30_000);

  test("that is left out drains, and its number can come back with another package", async () => {
    declare(["1"]);
    await inForce();
    await expect(ask({}, { modelVersion: "5" })).rejects.toMatchObject({
      code: expect.stringMatching(/^(NOT_FOUND|UNAVAILABLE)$/),
    });
    packages.set(5, await deployed.push("scale", scalePackage(5)));
    declare(["5"]);
    await inForce();
    expect(await ask()).toBe(5);
  }, 30_000);
});

describe("a shadow", () => {
  const outcomes = async (outcome: string) =>
    await metric(
      new RegExp(
        `millrace_shadow_compared_total\\{model="scale",version="1",shadow="4",outcome="${outcome}"\\} (\\d+)`,
      ),
    );

  test("gets a copy of each answered call, over a stream as well, and is compared with the answer", async () => {
    declare(["1", "4, shadow: true"]);
    await inForce();
    expect(await countVersions(40, () => ask())).toEqual({ 1: 40 });
    const requests = Array.from({ length: 10 }, () => floatRequest("scale", [0], [1, 1]));
    for await (const { errorMessage } of deployed.service.oip.modelStreamInfer(stream(requests)))
      expect(errorMessage).toBe("");
    while ((await outcomes("DIFFERENT")) + (await outcomes("EQUAL")) + (await outcomes("DROPPED")) < 50) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // Four times zero is zero: those of the stream are equal.
    expect([await outcomes("DIFFERENT"), await outcomes("EQUAL"), await outcomes("FAILED")]).toEqual([40, 10, 0]);
    const bucket = (bound: string) =>
      metric(
        new RegExp(
          `millrace_shadow_largest_difference_bucket\\{le="${bound}",model="scale",version="1",shadow="4",output="y"\\} (\\d+)`,
        ),
      );
    expect([await bucket("0.000001"), await bucket("1"), await bucket("10")]).toEqual([10, 10, 50]);
  }, 30_000);
});

test("a declaration that is refused is told in the status with its fields, and what serves goes on", async () => {
  const before = await deployed.awaitInForce("scale");
  declare(["1, weight: 1", "1, weight: 2"]);
  const { declaration, deployments } = await deployed.awaitStatus(({ declaration }) => declaration?.message !== "");
  expect(declaration?.findings).toMatchObject([
    { field: "deployments[0].versions[1].version", reason: "DECLARATION_INVALID" },
  ]);
  expect(deployments[0]?.declarationHash).toBe(before.declarationHash);
}, 30_000);

test("calls do not fail while five new versions are declared, one after the other and two at once", async () => {
  let stop = false;
  const seen = new Set<number>();
  const callers = Array.from({ length: 8 }, async () => {
    while (!stop) seen.add(await ask());
  });
  for (const version of [11, 12, 13, 14, 15]) {
    packages.set(version, await deployed.push("scale", scalePackage(version)));
  }
  for (const versions of [["11"], ["12"], ["12, weight: 1", "13, weight: 9"], ["14"], ["15"]]) {
    declare(versions);
    // The one before the last is not waited for: a newer declaration takes its place while it loads.
    if (versions[0] !== "14") await inForce();
  }
  await inForce();
  expect(await ask()).toBe(15);
  stop = true;
  await Promise.all(callers);
  for (const version of [11, 12, 13, 15]) expect(seen).toContain(version);
}, 60_000);

test("calls do not fail while a pipeline takes the place of versions, and versions that of a pipeline", async () => {
  const base = `{model: base, versions: [{version: 1, package: "${packages.get(4)}"}]}`;
  const versions = `{model: scale, versions: [{version: 1, package: "${packages.get(1)}", weight: 5}, {version: 2, package: "${packages.get(2)}", weight: 5}]}`;
  // The pipeline has the number that its model's answer has, as each version has.
  const pipeline = "{model: scale, pipeline: {version: 4, outputs: {y: only.y}, steps: [{name: only, model: base}]}}";
  let stop = false;
  const seen = new Set<number>();
  deployed.declare(`deployments: [${base}, ${versions}]`);
  await deployed.awaitInForce("scale");
  const callers = Array.from({ length: 4 }, async () => {
    while (!stop) seen.add(await ask());
  });
  for (const declared of [pipeline, versions, pipeline]) {
    deployed.declare(`deployments: [${base}, ${declared}]`);
    const { versions: status } = await deployed.awaitInForce("scale");
    expect(sharesOf(status)).toEqual(declared === pipeline ? { 4: 1 } : { 1: 0.5, 2: 0.5 });
    for (let call = 0; call < 20; call++) expect((await ask()) === 4).toBe(declared === pipeline);
  }
  stop = true;
  await Promise.all(callers);
  expect(seen).toEqual(new Set([1, 2, 4]));
}, 60_000);

test("a process that is killed under load serves the same versions with the same split when it is back", async () => {
  const users = Array.from({ length: 200 }, (_, index) => `user ${index}`);
  declare(["1, weight: 90", "2, weight: 10"], "sticky: {header: x-user}");
  await inForce();
  const before = await Promise.all(users.map((user) => ask({ "x-user": user })));
  const { deployments } = await deployed.awaitStatus(() => true);
  const served = (versions: typeof deployments) =>
    versions.flatMap(({ versions }) =>
      versions
        .filter(({ state }) => state === State.READY)
        .map(({ version, digest, weight }) => [version, digest, weight]),
    );
  const load = Array.from({ length: 8 }, async () => {
    for (;;) await ask();
  });
  const ended = Promise.allSettled(load);
  await deployed.killAndRestart();
  await ended;
  await inForce();
  expect(served((await deployed.awaitStatus(() => true)).deployments)).toEqual(served(deployments));
  expect(await Promise.all(users.map((user) => ask({ "x-user": user })))).toEqual(before);
}, 60_000);
