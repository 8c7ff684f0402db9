import type { Tensor } from "@millrace/tensor";
import { needMemory, type SystemSharedMemory } from "../shared-memory/system-shared-memory.ts";
import type { RegionPlace, RequestedOutput } from "./infer-parameters.ts";
import { topClasses } from "./top-classes.ts";

/** An output as it is answered. Where it went to shared memory its data is empty, and `place` says what it takes there. */
export interface PresentedOutput extends Tensor {
  readonly place?: RegionPlace;
}

/** What is known of the model whose outputs are answered. */
export interface Presented {
  readonly batched: boolean;
  readonly labels: ReadonlyMap<string, readonly string[]>;
}

/**
 * Puts outputs into the form that the request asks for: as they are, as their highest classes, or in shared memory.
 * @param outputs in the order of the request; views that may become void afterwards.
 * @param requested empty for all outputs as they are.
 * @throws TensorInvalidError, and SharedMemoryInvalidError where one does not fit the place that it was given.
 */
export const presentOutputs = (
  model: Presented,
  outputs: readonly Tensor[],
  requested: readonly RequestedOutput[],
  memory: SystemSharedMemory | undefined,
): readonly PresentedOutput[] => {
  if (requested.every(({ classes, place }) => classes === undefined && place === undefined)) return outputs;
  return outputs.map((output, index): PresentedOutput => {
    const { classes, place } = requested[index] ?? {};
    if (classes !== undefined) {
      return topClasses(output, classes, model.labels.get(output.name) ?? [], model.batched);
    }
    if (place === undefined) return output;
    needMemory(memory).write(output.name, place, output.data);
    return { ...output, data: new Uint8Array(), place: { ...place, byteSize: output.data.byteLength } };
  });
};
