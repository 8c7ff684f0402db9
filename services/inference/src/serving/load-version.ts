import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { Golden } from "@millrace/contracts/millrace/model/v1/model_package";
import type { BatchingOptions } from "@millrace/tensor";
import type { OnnxTuning } from "@millrace/tensor/onnxruntime";
import { type InstanceObserver, InstanceSupervisor } from "../execution/instance-supervisor.ts";
import { sharedBytes } from "../execution/lend-bytes.ts";
import { instancesBytes, type MemoryBudget } from "../execution/memory-budget.ts";
import { ModelInstance } from "../execution/model-instance.ts";
import { ModelLane } from "../execution/model-lane.ts";
import { ModelStatistics } from "../execution/model-statistics.ts";
import { ResponseCache } from "../execution/response-cache.ts";
import { checkGolden } from "./check-golden.ts";
import { probeBatching } from "./probe-batching.ts";
import type { ModelOrigin, PredictPolicy } from "./servable.ts";
import { ServedVersion } from "./served-version.ts";

/** What all versions of a service share. */
export interface SharedByVersions {
  readonly memory: MemoryBudget;
  /** Who is told of the instances of a version. */
  readonly instances: (model: string, version: string) => InstanceObserver;
}

/** How a version is to run. */
export interface ServingOptions extends BatchingOptions {
  /** Copies of the model, each in a thread of its own. */
  readonly instances: number;
  readonly intraOpThreads: number;
  readonly maxRunTimeMs: number;
  /** Whether answers leave in the order in which their requests came, over all instances. */
  readonly preserveOrdering?: boolean | undefined;
  /** Memory for answers that are kept, in bytes. 0, the default: none are. */
  readonly cacheBytes?: number | undefined;
  /** How long they are kept, in ms. Default: until others push them out. */
  readonly cacheTimeToLiveMs?: number | undefined;
  /** The `cacheBytes` of models of folders whose configuration turns the cache on. */
  readonly responseCacheBytes?: number | undefined;
  /** Where to run, in order of preference. Default: `cpu`. */
  readonly executionProviders?: readonly string[] | undefined;
  readonly tuning?: OnnxTuning | undefined;
  /** Without it memory has no bound, and nobody is told of instances. */
  readonly shared?: SharedByVersions | undefined;
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

const silent: InstanceObserver = { onLost() {}, onWedged() {}, onReplaced() {}, onFailed() {} };
const noMemory = () => {};

/**
 * Loads a version until it can take traffic: starts its workers, finds out whether its requests can be joined (which
 * warms it up), and checks the golden examples of its package.
 * @throws MemoryBudgetError, ModelInvalidError, GoldenMismatchError, TensorInvalidError. Nothing is left running then but a
 *   run that takes too long: its worker is retired, and its memory given back, when it returns.
 */
export const loadVersion = async (load: VersionToLoad, observer: LoadObserver): Promise<ServedVersion> => {
  const { name, version, origin, golden, options } = load;
  const { shared } = options;
  const startedMs = performance.now();
  observer.onState(State.LOADING);
  const weightBytes = [...(load.externalData?.values() ?? [])].reduce((sum, { byteLength }) => sum + byteLength, 0);
  const modelBytes = load.model.byteLength + weightBytes;
  const memoryBytes = instancesBytes(modelBytes, options.instances);
  const release = shared?.memory.take(`Version ${version} of the model ${name}`, memoryBytes) ?? noMemory;
  let model: Uint8Array;
  let externalData: ReadonlyMap<string, Uint8Array> | undefined;
  try {
    // Kept to start further instances from, and read by all of them.
    model = sharedBytes(load.model);
    externalData =
      load.externalData && new Map([...load.externalData].map(([path, bytes]) => [path, sharedBytes(bytes)]));
  } catch (error) {
    release();
    throw error;
  }
  const limits = { maxRunTimeMs: options.maxRunTimeMs };
  const statistics = new ModelStatistics();
  const instanceObserver = shared?.instances(name, version) ?? silent;
  const supervisor = new InstanceSupervisor({
    count: options.instances,
    start: (onChange) =>
      ModelInstance.start(model, {
        intraOpThreads: options.intraOpThreads,
        executionProviders: options.executionProviders,
        tuning: options.tuning,
        externalData,
        externalDataFolder: load.externalDataFolder,
        // Read before each run: a deployment may change it without a load.
        get maxRunTimeMs() {
          return limits.maxRunTimeMs;
        },
        onChange,
      }),
    takeMemory: () =>
      shared?.memory.take(`Another instance of the model ${name}`, instancesBytes(modelBytes, 1)) ?? noMemory,
    statistics,
    observer: instanceObserver,
  });
  const retireInstances = async () => {
    await supervisor.close();
    release();
  };
  try {
    const [first] = await supervisor.start();
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
    const cache =
      options.cacheBytes === undefined || options.cacheBytes === 0
        ? undefined
        : new ResponseCache({ maxBytes: options.cacheBytes, timeToLiveMs: options.cacheTimeToLiveMs });
    const lane = new ModelLane({ ...options, batched }, statistics, { cache, retireInstances });
    supervisor.serve(lane);
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
      memoryBytes,
      loadSeconds: (performance.now() - startedMs) / 1000,
      policy: load.policy,
      maxMessageBytes: load.maxMessageBytes,
      limits,
    });
  } catch (error) {
    const retired = retireInstances();
    // A run that takes too long may never return: the error must not wait for it.
    if (supervisor.inRun) retired.catch((defect: unknown) => instanceObserver.onLost(defect, 0));
    else await retired;
    throw error;
  }
};
