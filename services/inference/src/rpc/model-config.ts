import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { DataType, ModelInstanceGroup_Kind } from "@millrace/contracts/inference/model_config";
import type { Unary } from "@millrace/grpc";
import type { Datatype, TensorSpec } from "@millrace/tensor";
import { ensembleConfig } from "../pipeline/ensemble-config.ts";
import { PipelineServable } from "../pipeline/pipeline-servable.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import { ServedVersion } from "../serving/served-version.ts";
import { ModelUnknownError } from "../serving/serving-errors.ts";

/** How a model really runs, as Triton's model configuration. Dimensions are without the batch where there is one. */
export const modelConfig =
  (roster: ModelRoster): Unary<typeof GRPCInferenceService.method.modelConfig> =>
  async ({ name, version }) => {
    const served = roster.find(name, version);
    const { batched } = served;
    const tensor = (spec: TensorSpec) => ({
      name: spec.name,
      dataType: dataTypes[spec.datatype],
      dims: (batched ? spec.shape.slice(1) : spec.shape).map(BigInt),
    });
    const common = {
      name,
      platform: served.platform,
      maxBatchSize: batched ? served.maxBatchSize : 0,
      input: served.inputs.map(tensor),
      output: served.outputs.map(tensor),
    };
    if (served instanceof PipelineServable && served.bound !== undefined) {
      return { config: { ...common, ...ensembleConfig(served.bound) } };
    }
    if (!(served instanceof ServedVersion)) throw new ModelUnknownError(name, version, roster.names());
    const { lane } = served;
    const { maxQueueDelayMs, maxQueueSize } = lane.options;
    return {
      config: {
        ...common,
        backend: "onnxruntime",
        instanceGroup: [{ name, kind: ModelInstanceGroup_Kind.CPU, count: lane.instances.length }],
        ...(batched
          ? {
              schedulingChoice: {
                case: "dynamicBatching" as const,
                value: {
                  maxQueueDelayMicroseconds: BigInt(Math.round(maxQueueDelayMs * 1000)),
                  preserveOrdering: false,
                  defaultQueuePolicy: { maxQueueSize },
                },
              },
            }
          : {}),
      },
    };
  };

const dataTypes: Readonly<Record<Datatype, DataType>> = {
  BOOL: DataType.TYPE_BOOL,
  UINT8: DataType.TYPE_UINT8,
  UINT16: DataType.TYPE_UINT16,
  UINT32: DataType.TYPE_UINT32,
  UINT64: DataType.TYPE_UINT64,
  INT8: DataType.TYPE_INT8,
  INT16: DataType.TYPE_INT16,
  INT32: DataType.TYPE_INT32,
  INT64: DataType.TYPE_INT64,
  FP16: DataType.TYPE_FP16,
  FP32: DataType.TYPE_FP32,
  FP64: DataType.TYPE_FP64,
  BYTES: DataType.TYPE_STRING,
};
