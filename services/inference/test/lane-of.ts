import { bytesOf, type Tensor } from "@millrace/tensor";
import type { InferOptions, LaneOptions, LaneParts } from "../src/execution/lane-options.ts";
import { ModelInstance } from "../src/execution/model-instance.ts";
import { ModelLane } from "../src/execution/model-lane.ts";
import { ModelStatistics } from "../src/execution/model-statistics.ts";

const usual: LaneOptions = { maxBatchSize: 8, maxQueueDelayMs: 0, maxQueueSize: 1000, batched: true };

/** A lane with instances of a model. Whoever made it closes it. */
export const laneOf = async (
  model: Uint8Array,
  options: Partial<LaneOptions> = {},
  { instances = 1, maxRunTimeMs = 60_000, ...parts }: LaneParts & { instances?: number; maxRunTimeMs?: number } = {},
): Promise<ModelLane> => {
  const lane = new ModelLane({ ...usual, ...options }, new ModelStatistics(), parts);
  for (let index = 0; index < instances; index++) {
    lane.add(
      await ModelInstance.start(model, {
        intraOpThreads: 1,
        maxRunTimeMs,
        onChange: () => lane.onInstanceChange(),
      }),
    );
  }
  return lane;
};

/** Runs tensors through a lane, and copies what it answers. */
export const inferred = (
  lane: ModelLane,
  inputs: readonly Tensor[],
  options: InferOptions = {},
  rows = inputs[0]?.shape[0] ?? 1,
): Promise<Tensor[]> =>
  lane.infer(inputs, rows, options, (outputs) => outputs.map((output) => ({ ...output, data: output.data.slice() })));

/** The input of `loopModel`. */
export const steps = (count: number | bigint): Tensor[] => [
  { name: "n", datatype: "INT64", shape: [1], data: bytesOf(BigInt64Array.of(BigInt(count))) },
];

/** An input of `scaleModel` and its like. */
export const floatRows = (...values: number[]): Tensor[] => [
  { name: "x", datatype: "FP32", shape: [values.length, 1], data: bytesOf(Float32Array.from(values)) },
];
