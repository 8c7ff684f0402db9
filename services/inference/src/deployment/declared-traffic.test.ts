import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { DeploymentDeclarationSchema } from "@millrace/contracts/millrace/inference/v1/deployment";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { DeclarationInvalidError } from "./declaration-invalid-error.ts";
import { planDeployments } from "./deployment-options.ts";

const defaults = {
  maxBatchSize: 128,
  maxQueueDelayMs: 0,
  maxQueueSize: 4096,
  maxRunTimeMs: 30_000,
  instances: 1,
  intraOpThreads: 1,
};

const plan = (versions: readonly string[], more = "") => {
  const yaml = `
deployments:
  - model: m
    versions: [${versions.map((version) => `{version: ${version}, package: "m:tag"}`).join(", ")}]
    ${more}
`;
  const [first] = planDeployments(fromJson(DeploymentDeclarationSchema, parse(yaml) as JsonValue), defaults);
  if (first === undefined) throw new Error("Nothing was planned.");
  return first;
};

describe("the rules of a deployment", () => {
  test("give a lone version all, also beside shadows and versions by header alone", () => {
    expect([...plan(["1"]).rules.weights]).toEqual([["1", 1]]);
    expect([...plan(["1, header: x"]).rules.weights]).toEqual([["1", 1]]);
    expect(plan(["1", "2, shadow: true", "3, header: 'X-Canary: yes '"]).rules).toMatchObject({
      weights: new Map([["1", 1]]),
      shadows: ["2"],
      headers: [{ name: "x-canary", value: "yes", version: "3" }],
    });
  });

  test("have the weights of the others, also of one by header that has some", () => {
    const { rules } = plan(["1, weight: 9", "2, weight: 1, header: X", "3"], "sticky: {header: X-User}");
    expect(rules).toEqual({
      weights: new Map([
        ["1", 9],
        ["2", 1],
        ["3", 0],
      ]),
      headers: [{ name: "x", value: undefined, version: "2" }],
      sticky: { from: "header", name: "x-user" },
      shadows: [],
    });
  });

  test("are no part of what makes a version load anew, and neither are limits and policies", () => {
    const keys = (more: string, version = "1, weight: 5") => plan([version, "2, weight: 1"], more).versions[0]?.loadKey;
    expect(keys("", "1, header: a, weight: 2")).toBe(keys(""));
    for (const same of [
      "sticky: {entity: user}",
      "limits: {maxRunTime: 1s, maxMessageBytes: 7}",
      "predictionLog: {sampling: 0.5, inferSampling: 1}",
      "features: {onMissing: REFUSE}",
      "payloadLog: {url: 'http://127.0.0.1:1/'}",
      "previousVersion: 2",
    ]) {
      expect(keys(same)).toBe(keys(""));
    }
    for (const other of [
      "instances: 2",
      "intraOpThreads: 2",
      "executionProviders: [cuda, cpu]",
      "batching: {maxBatchSize: 3}",
      "batching: {priorityLevels: 2}",
      "batching: {preserveOrdering: true}",
      "responseCache: {maxBytes: 5000}",
      "signature: {trustedKeys: [k.pem]}",
    ]) {
      expect(keys(other)).not.toBe(keys(""));
    }
  });

  test.each([
    [
      "a version twice",
      ["1, weight: 1", "1, weight: 2"],
      "",
      /versions\[1\].version: expected a version that no other/,
    ],
    [
      "no weight among several",
      ["1", "2"],
      "",
      /versions: expected a weight above 0 .*, got 2 versions without weight/,
    ],
    ["a shadow with weight", ["1", "2, shadow: true, weight: 3"], "", /versions\[1\].weight: expected 0/],
    ["shadows alone", ["1, shadow: true"], "", /versions: expected a version that answers calls without a header/],
    [
      "headers alone",
      ["1, header: a", "2, header: b"],
      "",
      /versions: expected a version that answers calls without a/,
    ],
    [
      "a header twice",
      ["1", "2, header: a", "3, header: A"],
      "",
      /versions\[2\].header: expected a header that version 2/,
    ],
    ["a malformed header", ["1", "2, header: 'a b'"], "", /versions\[1\].header: expected the name/],
    ["a binary header", ["1", "2, header: a-bin"], "", /versions\[1\].header: expected the name of a text header/],
    ["no key that is sticky", ["1"], "sticky: {}", /sticky: expected header, parameter or entity/],
    [
      "a key out of its folder",
      ["1"],
      "signature: {trustedKeys: [a/../../k.pem]}",
      /trusted_keys\[0\]: expected a file/,
    ],
    ["an absolute key", ["1"], "signature: {trustedKeys: [/etc/k.pem]}", /trusted_keys\[0\]: expected a file in/],
    ["no keys to trust", ["1"], "signature: {}", /signature.trusted_keys: expected/],
    ["an unknown provider", ["1"], "executionProviders: [abacus]", /execution_providers\[0\]: expected one of cpu/],
  ])("with %s are refused with the field", (_, versions, more, message) => {
    expect(() => plan(versions, more)).toThrow(DeclarationInvalidError);
    expect(() => plan(versions, more)).toThrow(message);
  });
});
