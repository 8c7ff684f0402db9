import type { ModelPackage } from "@millrace/contracts/millrace/model/v1/model_package";
import type { Tensor, TensorSpec } from "@millrace/tensor";
import type { InferOptions } from "../execution/lane-options.ts";
import type { ModelStatistics } from "../execution/model-statistics.ts";
import { defaultFeaturePolicy, type FeaturePolicy } from "../prediction/feature-policy.ts";
import type { PayloadPolicy } from "../prediction/payload-policy.ts";
import type { RoutingKeys } from "./traffic-rules.ts";

/** Where something that is served comes from. */
export interface ModelOrigin {
  /** As it was declared: a package reference, or the path of a model file. */
  readonly reference: string;
  /** `sha256:…` of the package; empty for a bare model file. */
  readonly digest: string;
  /** The package's repository; empty for a bare model file. */
  readonly repository: string;
  /** The URL of the store that has the package, where that is not the service's. */
  readonly storeUrl?: string | undefined;
  readonly manifest: ModelPackage | undefined;
}

/** What a deployment says of its predictions: the features they read, and the logs that have them. */
export interface PredictPolicy {
  readonly features: FeaturePolicy;
  /** Share of a call's deadline that features may use, above 0 up to 1. */
  readonly deadlineShare: number;
  /** Share of predictions by entity that are logged, 0 to 1. */
  readonly sampling: number;
  /** Share of the rows of calls with tensors that are logged, 0 to 1. */
  readonly inferSampling: number;
  readonly acknowledge: "ASYNCHRONOUS" | "BEFORE_RESPONSE";
  /** Undefined where payloads are not logged. */
  readonly payloads: PayloadPolicy | undefined;
}

export const defaultPolicy: PredictPolicy = {
  features: defaultFeaturePolicy,
  deadlineShare: 0.5,
  sampling: 1,
  inferSampling: 0,
  acknowledge: "ASYNCHRONOUS",
  payloads: undefined,
};

/** What a run is given beside its tensors. A pipeline chooses its steps' versions by what the call can be told apart by. */
export type RunOptions = InferOptions & Partial<RoutingKeys>;

/**
 * What answers behind a name and a version: a model with its lane, or a pipeline of models. Whoever needs it for longer
 * than one turn of the event loop holds a lease, so that a swap does not retire it in between.
 */
export interface Servable {
  readonly name: string;
  /** A decimal integer. */
  readonly version: string;
  /** In Triton's words: `onnxruntime_onnx`, or `ensemble` for a pipeline. */
  readonly platform: string;
  readonly origin: ModelOrigin;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** The names of an output's classes, by output, for those that have names. */
  readonly labels: ReadonlyMap<string, readonly string[]>;
  /** Whether requests are joined along the first axis of every input. */
  readonly batched: boolean;
  /** Most rows of one request where it is batched. */
  readonly maxBatchSize: number;
  readonly policy: PredictPolicy;
  /** Largest request in bytes; undefined where only the service's limit holds. */
  readonly maxMessageBytes: number | undefined;
  readonly statistics: ModelStatistics;
  /** Whether it can run something now. */
  readonly alive: boolean;
  /** Why it cannot, where there is more to say than that its workers are wedged or lost. */
  readonly whyNotAlive?: string | undefined;
  /** Levels of priority that its requests may name, 1 the highest; 0 or undefined where all are alike. */
  readonly priorityLevels?: number | undefined;
  /** Requests that wait. */
  readonly waiting: number;
  readonly executionProvider: { readonly name: string; readonly reason: string };
  /** Workers, each with its own copy of the weights. */
  readonly instanceCount: number;
  readonly goldenExamples: number;
  readonly memoryBytes: number;
  readonly loadSeconds: number;

  /**
   * Runs a request.
   * @param inputs in the order of `inputs`, checked against them.
   * @param rows the first dimension of every input where it is batched; 1 otherwise.
   * @param read is given the outputs, in the order of `outputs`, as views that are void when it returns.
   * @throws QueueFullError, DeadlinePassedError, InferenceCancelledError, ModelFailedError, RunTooLongError
   */
  infer<R>(
    inputs: readonly Tensor[],
    rows: number,
    options: RunOptions,
    read: (outputs: readonly Tensor[]) => R,
  ): Promise<R>;

  /** Keeps it from being retired until the answered function is called. */
  lease(): () => void;

  /** Waits for the leases, runs what is queued, and frees what it holds. */
  retire(): Promise<void>;
}
