import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { Golden } from "@millrace/contracts/millrace/model/v1/model_package";
import type { BatchingOptions } from "@millrace/tensor";
import { ModelInstance } from "../execution/model-instance.ts";
import { ModelLane } from "../execution/model-lane.ts";
import { ModelStatistics } from "../execution/model-statistics.ts";
import { checkGolden } from "./check-golden.ts";
import { probeBatching } from "./probe-batching.ts";
import type { ModelOrigin, PredictPolicy } from "./servable.ts";
import { ServedVersion } from "./served-version.ts";

/** How a version is to run. */
export interface ServingOptions extends BatchingOptions {
  /** Copies of the model, each in a thread of its own. */
  readonly instances: number;
  readonly intraOpThreads: number;
  readonly maxRunTimeMs: number;
}

export interface VersionToLoad {
  readonly name: string;
  readonly version: string;
  readonly origin: ModelOrigin;
  readonly model: Uint8Array;
  /** Weights that the model keeps in other files: the files of its package, or the folder that its own file lies in. */
  readonly externalData?: ReadonlyMap<string, Uint8Array> | undefined;
  readonly externalDataFolder?: string | undefined;
  readonly golden: Golden | undefined;
  readonly options: ServingOptions;
  readonly policy: PredictPolicy;
  readonly maxMessageBytes?: number | undefined;
}

export interface LoadObserver {
  /** Called as the load goes on. */
  onState(state: State): void;
  /** Called once it is known whether requests are joined, and why not. */
  onJoining(text: string): void;
}

/**
 * Loads a version until it can take traffic: starts its workers, finds out whether its requests can be joined (which
 * warms it up), and checks the golden examples of its package.
 * @throws ModelInvalidError, GoldenMismatchError, TensorInvalidError. Nothing is left running then.
 */
export const loadVersion = async (load: VersionToLoad, observer: LoadObserver): Promise<ServedVersion> => {
  const { name, version, origin, model, golden, options } = load;
  const startedMs = performance.now();
  observer.onState(State.LOADING);
  let lane: ModelLane | undefined;
  const instances: ModelInstance[] = [];
  const limits = { maxRunTimeMs: options.maxRunTimeMs };
  try {
    for (let index = 0; index < options.instances; index++) {
      instances.push(
        await ModelInstance.start(model, {
          intraOpThreads: options.intraOpThreads,
          externalData: load.externalData,
          externalDataFolder: load.externalDataFolder,
          // Read before each run: a deployment may change it without a load.
          get maxRunTimeMs() {
            return limits.maxRunTimeMs;
          },
          onChange: () => lane?.onInstanceChange(),
        }),
      );
    }
    const [first] = instances;
    if (first === undefined) throw new RangeError("A model needs at least one instance.");
    observer.onState(State.CHECKING);
    const declaredUnbatched = origin.manifest?.signature?.inputs.some(({ batched }) => !batched) ?? false;
    const joining = await probeBatching(first);
    const batched = joining.joins && !declaredUnbatched && options.maxBatchSize > 1;
    observer.onJoining(
      batched
        ? "its requests are joined along the first axis"
        : `its requests are not joined: ${joining.joins ? "it is declared so" : joining.why}`,
    );
    lane = new ModelLane({ ...options, batched }, new ModelStatistics());
    for (const instance of instances) lane.add(instance);
    const weightBytes = [...(load.externalData?.values() ?? [])].reduce((sum, { byteLength }) => sum + byteLength, 0);
    const goldenExamples = golden === undefined ? 0 : await checkGolden(golden, lane);
    return new ServedVersion({
      name,
      version,
      origin,
      lane,
      inputs: first.inputs,
      outputs: first.outputs,
      executionProvider: first.executionProvider,
      goldenExamples,
      memoryBytes: (model.byteLength + weightBytes) * options.instances,
      loadSeconds: (performance.now() - startedMs) / 1000,
      policy: load.policy,
      maxMessageBytes: load.maxMessageBytes,
      limits,
    });
  } catch (error) {
    await Promise.all(instances.map((instance) => instance.close()));
    throw error;
  }
};
