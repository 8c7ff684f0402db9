import type { ModelPackage } from "@millrace/contracts/millrace/model/v1/model_package";
import type { TensorSpec } from "@millrace/tensor";
import type { ModelLane } from "../execution/model-lane.ts";

/** Where a served version comes from. */
export interface ModelOrigin {
  /** As it was declared: a package reference, or the path of a model file. */
  readonly reference: string;
  /** `sha256:…` of the package; empty for a bare model file. */
  readonly digest: string;
  /** The package's repository; empty for a bare model file. */
  readonly repository: string;
  readonly manifest: ModelPackage | undefined;
}

/** What a deployment says of its predictions by entity. */
export interface PredictPolicy {
  readonly onMissing: "IMPUTE" | "REFUSE";
  /** Share of a call's deadline that features may use, above 0 up to 1. */
  readonly deadlineShare: number;
  /** Share of predictions that are logged, 0 to 1. */
  readonly sampling: number;
  readonly acknowledge: "ASYNCHRONOUS" | "BEFORE_RESPONSE";
}

export const defaultPolicy: PredictPolicy = {
  onMissing: "IMPUTE",
  deadlineShare: 0.5,
  sampling: 1,
  acknowledge: "ASYNCHRONOUS",
};

/**
 * A version of a model that can run: what it takes and gives, and the lane that requests go through. Whoever needs it for
 * longer than one turn of the event loop holds a lease, so that a swap does not retire it in between.
 */
export class ServedVersion {
  readonly name: string;
  /** A decimal integer. */
  readonly version: string;
  readonly origin: ModelOrigin;
  readonly lane: ModelLane;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly executionProvider: { readonly name: string; readonly reason: string };
  readonly goldenExamples: number;
  readonly memoryBytes: number;
  readonly loadSeconds: number;
  readonly policy: PredictPolicy;
  /** Largest ModelInfer message in bytes; undefined where only the service's limit holds. */
  readonly maxMessageBytes: number | undefined;
  #leases = 0;
  #onReleased: (() => void)[] = [];

  constructor(fields: Omit<{ [Key in keyof ServedVersion]: ServedVersion[Key] }, "lease" | "retire">) {
    this.name = fields.name;
    this.version = fields.version;
    this.origin = fields.origin;
    this.lane = fields.lane;
    this.inputs = fields.inputs;
    this.outputs = fields.outputs;
    this.executionProvider = fields.executionProvider;
    this.goldenExamples = fields.goldenExamples;
    this.memoryBytes = fields.memoryBytes;
    this.loadSeconds = fields.loadSeconds;
    this.policy = fields.policy;
    this.maxMessageBytes = fields.maxMessageBytes;
  }

  /** Keeps this version from being retired until the answered function is called. */
  lease(): () => void {
    this.#leases++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#leases--;
      if (this.#leases === 0) for (const released of this.#onReleased.splice(0)) released();
    };
  }

  /** Waits for the leases, runs what is queued, and frees the model. */
  async retire(): Promise<void> {
    if (this.#leases > 0) await new Promise<void>((resolve) => this.#onReleased.push(resolve));
    await this.lane.close();
  }
}
