import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { servePipeline } from "../pipeline/serve-pipeline.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import { highestVersion } from "../serving/traffic-rules.ts";
import type { DeploymentPlan } from "./deployment-options.ts";
import type { DeploymentsObserver } from "./deployments.ts";
import { supersededError } from "./version-load.ts";

/** A pipeline behind a name, and the declaration that it follows. What the name had before serves until it can. */
export class PipelineDeployment {
  readonly kind = "pipeline";
  readonly #model: string;
  readonly #roster: ModelRoster;
  readonly #observer: DeploymentsObserver;
  #key = "";
  #hash = "";
  #inForce = false;
  #abort = new AbortController();
  #done: Promise<void> = Promise.resolve();

  constructor(model: string, roster: ModelRoster, observer: DeploymentsObserver) {
    this.#model = model;
    this.#roster = roster;
    this.#observer = observer;
  }

  /** Begins to put a declaration in force. */
  put(plan: DeploymentPlan, hash: string): void {
    this.#hash = hash;
    if (plan.pipelineKey === this.#key) {
      if (this.#inForce) this.#roster.direct(this.#model, highestVersion, hash);
      else this.#pend();
      return;
    }
    this.#key = plan.pipelineKey;
    this.#inForce = false;
    this.#abort.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#done = this.#done.then(() => this.#serve(plan, signal)).catch(this.#observer.onDefect);
  }

  /** Takes it out of service. */
  async remove(): Promise<void> {
    this.release();
    const isKnown = this.#roster.records(this.#model).length > 0;
    await Promise.all([this.#done, isKnown ? this.#roster.unload(this.#model) : undefined]);
  }

  /** Ends what is on its way. What serves goes on, and belongs to whoever comes next. */
  release(): void {
    this.#abort.abort();
  }

  async settled(): Promise<void> {
    await this.#done;
  }

  async #serve(plan: DeploymentPlan, signal: AbortSignal): Promise<void> {
    const { pipeline, policy, maxMessageBytes } = plan;
    if (pipeline === undefined || signal.aborted) return;
    const { version } = pipeline;
    const record = this.#roster.begin(this.#model, version, "a pipeline");
    this.#pend();
    await servePipeline(
      this.#roster,
      { plan: pipeline, policy, maxMessageBytes },
      record,
      {
        onServes: () => {
          if (!this.#inForce) {
            this.#inForce = true;
            this.#roster.direct(this.#model, highestVersion, this.#hash);
          }
          this.#observer.onServes(this.#model, version, "", "a pipeline");
        },
        onFailed: (error) => this.#observer.onFailed(this.#model, version, error),
      },
      signal,
    );
    if (record.served === undefined) this.#roster.update(record, State.UNLOADED, supersededError());
  }

  #pend(): void {
    this.#roster.pend(this.#model, this.#hash, "It is put in force when its models are there and fit together.");
  }
}
