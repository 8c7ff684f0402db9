import { fromJson } from "@bufbuild/protobuf";
import { DeploymentDeclarationSchema } from "@millrace/contracts/millrace/inference/v1/deployment";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { circle, examplePipelines, type PipelineDeployment, pipeline } from "./pipeline-examples.ts";
import { PipelineService } from "./pipeline-service.ts";

const pipelines = new PipelineService();
const { awaitState, declare, infer } = pipelines;

beforeAll(() => pipelines.start(examplePipelines), 60_000);

afterAll(async () => {
  expect(await pipelines.stop()).toBe(0);
});

describe("a declaration", () => {
  const findings = async (...deployments: readonly PipelineDeployment[]) => {
    const declaration = fromJson(DeploymentDeclarationSchema, JSON.parse(JSON.stringify({ deployments })));
    return (await pipelines.service.deployments.validate({ declaration })).findings.map(
      ({ field, message }) => `${field}: ${message}`,
    );
  };
  const steps = (text: string, outputs = "{ y: a.y }") => pipeline("p", `{ outputs: ${outputs}, steps: [${text}] }`);

  test.each([
    [
      "a model that is not there",
      "{ name: a, model: nowhere }",
      /steps\[0\]\.model: expected a model that is declared or served, got nowhere/,
    ],
    [
      "a route to a model that is not there",
      "{ name: a, router: { tensor: x, routes: [{ equals: 1, model: plus }, { equals: 2, model: gone }] } }",
      /steps\[0\]\.router\.routes\[1\]\.model: .* got gone/,
    ],
    [
      "a step's name twice",
      "{ name: a, model: plus }, { name: a, model: plus }",
      /steps\[1\]\.name: expected a name that no other step has, got a/,
    ],
    [
      "a tensor's name twice",
      "{ name: a, model: plus, outputs: { y: t } }, { name: b, model: plus, outputs: { y: t } }",
      /steps\[1\]\.outputs\.y: expected a name that no other tensor has, got t, which the step a gives/,
    ],
    [
      "a cycle",
      "{ name: a, model: plus, inputs: { x: b.y } }, { name: b, model: plus, inputs: { x: a.y } }",
      /steps\[0\]\.inputs: .* got a cycle: a reads from b reads from a/,
    ],
    [
      "itself as a model",
      "{ name: a, model: p }",
      /steps\[0\]\.model: expected a model that does not include this pipeline, got p/,
    ],
    [
      "neither a model nor a router",
      "{ name: a }",
      /steps\[0\]\.model: expected a model, or a router in its place, got neither/,
    ],
    [
      "a route without a condition",
      "{ name: a, router: { tensor: x, routes: [{ model: plus }] } }",
      /routes\[0\]: expected equals .* got no condition/,
    ],
    [
      "routes by numbers and texts",
      "{ name: a, router: { tensor: x, routes: [{ equals: 1, model: plus }, { equals: b, model: minus }] } }",
      /routes: expected conditions of one kind, got number and string/,
    ],
  ])("with %s is refused before it is in force", async (_, text, expected) => {
    expect(await findings(steps(text))).toEqual([expect.stringMatching(expected)]);
  });

  test("whose pipelines include each other is refused", async () => {
    const through = (model: string, other: string) =>
      pipeline(model, `{ outputs: { y: a.y }, steps: [{ name: a, model: ${other} }] }`);
    expect(await findings(through("p", "q"), through("q", "p"))).toEqual([
      "deployments[0].pipeline.steps: expected models that do not include this pipeline, got a cycle: p includes q includes p",
    ]);
  });

  test("of a pipeline that includes an ensemble of itself never serves, and the one before stays", async () => {
    expect(await infer("ring", { IN: [3] }, 1)).toEqual({ OUT: [-3] });
    const others = examplePipelines.filter((deployment) => deployment !== circle);
    declare([...others, pipeline("circle", "{ outputs: { y: a.OUT }, steps: [{ name: a, model: ring }] }")]);
    const status = await awaitState("circle", State.FAILED);
    expect(status.message).toContain("The step a: The pipeline ring includes the pipeline circle.");
    expect(await infer("ring", { IN: [3] }, 1)).toEqual({ OUT: [-3] });
    declare(examplePipelines);
  }, 20_000);

  test("of a pipeline with what belongs to models is refused", async () => {
    const deployment = {
      ...steps("{ name: a, model: plus }"),
      instances: 2,
      batching: { maxBatchSize: 8 },
      responseCache: { maxBytes: 100 },
    };
    expect(await findings(deployment)).toEqual([
      expect.stringMatching(/deployments\[0\]\.batching: expected nothing beside a pipeline/),
      expect.stringMatching(/deployments\[0\]\.response_cache: expected nothing beside a pipeline/),
      expect.stringMatching(/deployments\[0\]\.instances: expected nothing beside a pipeline/),
    ]);
  });

  test.each([
    [
      "an input that its model lacks",
      "{ name: a, model: plus, inputs: { z: x } }",
      /steps\[0\]\.inputs\.z: expected one of the inputs of plus: x, got z/,
    ],
    [
      "an output that its model lacks",
      "{ name: a, model: plus, outputs: { z: x } }",
      /steps\[0\]\.outputs\.z: expected one of the outputs of plus: y, got z/,
    ],
    [
      "a tensor that its step lacks",
      "{ name: b, model: plus }, { name: a, model: plus, inputs: { x: b.z } }",
      /steps\[1\]\.inputs\.x: expected a tensor of the step b: b\.y, got b\.z/,
    ],
    [
      "tensors of other datatypes",
      "{ name: b, model: table }, { name: a, model: table, inputs: { x: b.y } }",
      /steps\[1\]\.inputs\.x: expected INT64 \[-1, 1\], got FP32 \[-1, 1\] \(b\.y of the step b\)/,
    ],
    [
      "inputs that two models read otherwise",
      "{ name: b, model: double }, { name: a, model: plus }",
      /steps\[1\]\.inputs\.x: expected FP32 \[-1, 2\], as another step reads x, got FP32 \[-1, 1\]/,
    ],
    [
      "routes to models of other tensors",
      "{ name: a, router: { tensor: x, routes: [{ equals: 1, model: plus }], otherwise: table } }",
      /router\.otherwise: expected a model that takes and gives what plus does, got table, with x as INT64 \[-1, 1\]/,
    ],
    [
      "texts for a tensor of numbers",
      "{ name: a, router: { tensor: x, routes: [{ equals: b, model: plus }] } }",
      /router\.tensor: expected a tensor of texts, got FP32 \[-1, 1\]/,
    ],
    [
      "a router by several elements a row",
      "{ name: a, router: { tensor: x, routes: [{ equals: 1, model: double }] } }",
      /router\.tensor: expected a tensor with one element a row, got FP32 \[-1, 2\]/,
    ],
    [
      "a step that nothing follows from",
      "{ name: a, model: plus }, { name: b, model: plus }",
      /steps\[1\]: expected a step that an output follows from, got b/,
    ],
    [
      "a cycle by default names",
      "{ name: a, model: plus, inputs: { x: t } }, { name: b, model: plus, inputs: { x: a.y }, outputs: { y: t } }",
      /got a cycle/,
    ],
  ])(
    "with %s never serves, and the status says why",
    async (what, text, expected) => {
      declare([...examplePipelines, steps(text)]);
      if (what === "a cycle by default names") {
        expect(await findings(steps(text))).toEqual([expect.stringMatching(expected)]);
        return;
      }
      const status = await awaitState("p", State.FAILED, expected);
      expect(status).toMatchObject({ reason: "DECLARATION_INVALID" });
    },
    20_000,
  );

  test("with an output that no step gives names it", async () => {
    declare([...examplePipelines, steps("{ name: a, model: plus }", "{ y: a.z }")]);
    await awaitState("p", State.FAILED, /pipeline\.outputs\.y: expected a tensor of a step: a\.y, got a\.z/);
    declare([...examplePipelines, steps("{ name: a, model: plus }")]);
    await awaitState("p", State.READY);
    expect(await infer("p", { x: [3] }, 1)).toEqual({ y: [3] });
  }, 20_000);
});
