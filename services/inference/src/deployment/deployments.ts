import type { FieldViolation, MillraceError } from "@millrace/errors";
import type { ServingOptions } from "../serving/load-version.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import type { PackageSources } from "./check-package.ts";
import { type DeploymentPlan, planDeployments } from "./deployment-options.ts";
import { ModelDeployment } from "./model-deployment.ts";
import type { ParsedDeclaration } from "./parse-declaration.ts";
import { PipelineDeployment } from "./pipeline-deployment.ts";

/** What deployments tell of themselves, for the log. */
export interface DeploymentsObserver {
  onServes(model: string, version: string, digest: string, text: string): void;
  onFailed(model: string, version: string, error: MillraceError): void;
  onUnloaded(model: string): void;
  onDefect(error: unknown): void;
}

/**
 * Puts declarations in force, each name by itself: see `ModelDeployment` and `PipelineDeployment`. A name that a
 * declaration leaves out is unloaded.
 */
export class Deployments {
  readonly #roster: ModelRoster;
  readonly #sources: PackageSources;
  readonly #defaults: ServingOptions;
  readonly #observer: DeploymentsObserver;
  readonly #deployed = new Map<string, ModelDeployment | PipelineDeployment>();
  #closed = false;

  constructor(roster: ModelRoster, sources: PackageSources, defaults: ServingOptions, observer: DeploymentsObserver) {
    this.#roster = roster;
    this.#sources = sources;
    this.#defaults = defaults;
    this.#observer = observer;
  }

  /**
   * Begins to put a declaration in force, and returns.
   * @throws DeclarationInvalidError. Nothing changes then.
   */
  apply({ declaration, hash }: ParsedDeclaration): void {
    if (this.#closed) return;
    const plans = planDeployments(declaration, this.#defaults);
    this.#roster.tell({ hash, message: "", violations: [], reason: "", sinceMs: Date.now() });
    for (const [model, deployed] of this.#deployed) {
      if (plans.some((plan) => plan.model === model)) continue;
      this.#deployed.delete(model);
      deployed
        .remove()
        .then(() => this.#observer.onUnloaded(model))
        .catch(this.#observer.onDefect);
    }
    for (const plan of plans) this.#of(plan).put(plan, hash);
  }

  /** Tells the status of a newest declaration that is not put in force, and why. */
  refuse(hash: string, message: string, reason = "", violations: readonly FieldViolation[] = []): void {
    this.#roster.tell({ hash, message, reason, violations, sinceMs: Date.now() });
  }

  /** Resolves when everything that was applied is in force or has failed for good. Retries count as under way. */
  async settled(): Promise<void> {
    await Promise.all([...this.#deployed.values()].map((deployed) => deployed.settled()));
  }

  /** Stops what is under way. What serves goes on: the roster is closed by its owner. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const deployed of this.#deployed.values()) deployed.release();
    await this.settled();
  }

  #of({ model, pipeline }: DeploymentPlan): ModelDeployment | PipelineDeployment {
    const before = this.#deployed.get(model);
    if (before?.kind === (pipeline === undefined ? "versions" : "pipeline")) return before;
    before?.release();
    const deployed =
      pipeline === undefined
        ? new ModelDeployment(model, this.#roster, this.#sources, this.#observer)
        : new PipelineDeployment(model, this.#roster, this.#observer);
    this.#deployed.set(model, deployed);
    return deployed;
  }
}
