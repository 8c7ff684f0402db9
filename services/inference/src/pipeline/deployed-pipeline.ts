import type { Deployment } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import { findCycle, type PipelinePlan, planPipeline } from "./pipeline-plan.ts";

/** What a deployment says of models, and would have no effect on a pipeline of them. */
const ofModels = ["batching", "features", "signature", "responseCache", "sticky"] as const;

/**
 * The pipeline of a deployment; undefined where it has none.
 * @param field path of the deployment. @param violations is added to, for every rule that is broken.
 */
export const deployedPipeline = (
  deployment: Deployment,
  field: string,
  violations: FieldViolation[],
): PipelinePlan | undefined => {
  const { model, pipeline, versions, instances, intraOpThreads, executionProviders, limits, predictionLog } =
    deployment;
  if (pipeline === undefined) return undefined;
  const refuse = (name: string, expected: string, got: string) =>
    violations.push({ field: `${field}.${name}`, expected, got });
  const nothing = "nothing beside a pipeline: each of its models has its own";
  if (versions.length > 0) refuse("versions", "none beside a pipeline", `${versions.length}`);
  for (const name of ofModels) {
    if (deployment[name] !== undefined) refuse(snakeCase(name), nothing, "a declaration");
  }
  if (predictionLog !== undefined) {
    const ofPredict = "nothing beside a pipeline, which takes tensors: only infer_sampling";
    if (predictionLog.sampling !== undefined) refuse("prediction_log.sampling", ofPredict, `${predictionLog.sampling}`);
    if (predictionLog.acknowledge !== 0) refuse("prediction_log.acknowledge", ofPredict, "a value");
  }
  if (instances !== 0) refuse("instances", nothing, `${instances}`);
  if (intraOpThreads !== 0) refuse("intra_op_threads", nothing, `${intraOpThreads}`);
  if (executionProviders.length > 0) refuse("execution_providers", nothing, executionProviders.join(", "));
  if (limits !== undefined && limits.maxRunTime !== "") refuse("limits.max_run_time", nothing, limits.maxRunTime);
  return planPipeline(model, pipeline, `${field}.pipeline`, violations);
};

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Pipelines of one declaration that are among their own models, through others. */
export const pipelineCycles = (plans: readonly PipelinePlan[]): FieldViolation[] => {
  const reads = plans.map(({ name, steps }) =>
    steps.flatMap(({ models }) =>
      models.flatMap((model) => {
        const index = plans.findIndex((plan) => plan.name === model);
        return index < 0 || model === name ? [] : index;
      }),
    ),
  );
  const cycle = findCycle(reads);
  if (cycle === undefined) return [];
  const names = cycle.map((index) => plans[index]?.name ?? "");
  return [
    {
      field: `${plans[cycle[0] ?? 0]?.field}.steps`,
      expected: "models that do not include this pipeline",
      got: `a cycle: ${[...names, names[0]].join(" includes ")}`,
    },
  ];
};

/** The steps whose models are neither declared nor served. @param known their names. */
export const unknownModels = ({ steps }: PipelinePlan, known: ReadonlySet<string>): FieldViolation[] =>
  steps.flatMap(({ models, router, field }) =>
    models.flatMap((model) => {
      if (known.has(model)) return [];
      const route = router?.routes.find((route) => route.model === model);
      const at =
        router === undefined
          ? `${field}.model`
          : `${route?.field ?? router.field}.${route === undefined ? "otherwise" : "model"}`;
      return { field: at, expected: "a model that is declared or served", got: model };
    }),
  );
