import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ModelConfigSchema } from "@millrace/contracts/inference/model_config";
import type { BoundPipeline, BoundStep } from "./bound-pipeline.ts";
import { conditionText } from "./router-plan.ts";

/**
 * How a pipeline is said in Triton's model configuration: `ensemble_scheduling`, a step for each model. Triton has no
 * routers: each model of one is a step with the same tensors, and the parameter `<step>.router` says which rows it gets.
 */
export const ensembleConfig = (
  bound: BoundPipeline,
): Pick<MessageInitShape<typeof ModelConfigSchema>, "schedulingChoice" | "parameters"> => {
  const tensor = (number: number): string => {
    const output = bound.outputTensors.indexOf(number);
    return (output < 0 ? bound.tensors[number] : bound.outputs[output]?.name) ?? "";
  };
  const named = (numbers: ReadonlyMap<string, number>) =>
    Object.fromEntries([...numbers].map(([name, number]) => [name, tensor(number)]));
  return {
    schedulingChoice: {
      case: "ensembleScheduling",
      value: {
        step: bound.steps.flatMap((step) =>
          step.models.map((modelName) => ({
            modelName,
            modelVersion: step.modelVersion === "" ? -1n : BigInt(step.modelVersion),
            inputMap: named(step.reads),
            outputMap: named(step.writes),
          })),
        ),
      },
    },
    parameters: Object.fromEntries(
      bound.steps.flatMap((step) =>
        step.router === undefined ? [] : [[`${step.name}.router`, { stringValue: routerText(step.router) }]],
      ),
    ),
  };
};

/** A router in words: `country: equals NL to dutch, otherwise to other`. */
const routerText = ({ tensor, routes, otherwise }: NonNullable<BoundStep["router"]>): string =>
  `${tensor}: ${[
    ...routes.map(({ condition, model }) => `${conditionText(condition)} to ${model}`),
    ...(otherwise === "" ? [] : [`otherwise to ${otherwise}`]),
  ].join(", ")}`;
