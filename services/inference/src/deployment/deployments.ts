import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { PipelinePlan } from "../pipeline/pipeline-plan.ts";
import { servePipeline } from "../pipeline/serve-pipeline.ts";
import { loadVersion, type ServingOptions } from "../serving/load-version.ts";
import type { ModelRoster, VersionRecord } from "../serving/model-roster.ts";
import { highestVersion } from "../serving/traffic-rules.ts";
import { checkedPackage, type PackageSources } from "./check-package.ts";
import { type DeploymentPlan, planDeployments } from "./deployment-options.ts";
import type { ParsedDeclaration } from "./parse-declaration.ts";

/** What deployments tell of themselves, for the log. */
export interface DeploymentsObserver {
  onServes(model: string, version: string, digest: string, text: string): void;
  onFailed(model: string, version: string, error: MillraceError): void;
  onUnloaded(model: string): void;
  onDefect(error: unknown): void;
}

const retryMs = 1000;

/**
 * Puts declarations in force, each model by itself: a new version loads, warms up and is checked while the one before
 * goes on serving, then takes its place at once, and the one before drains. A version that fails never serves, and the
 * one before stays. What another service may still change (a store or a feature-serving that is away, a package that is
 * not there yet, features that are not applied yet) is tried again each second until a newer declaration comes.
 */
export class Deployments {
  readonly #roster: ModelRoster;
  readonly #sources: PackageSources;
  readonly #defaults: ServingOptions;
  readonly #observer: DeploymentsObserver;
  /** The deployment that each model was last told to be. */
  readonly #wanted = new Map<
    string,
    { readonly key: string; readonly abort: AbortController; readonly done: Promise<void> }
  >();
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
    const plans = planDeployments(declaration, this.#defaults);
    for (const [model, wanted] of this.#wanted) {
      if (plans.some((plan) => plan.model === model)) continue;
      wanted.abort.abort();
      this.#wanted.delete(model);
      wanted.done.then(() => this.#unload(model)).catch(this.#observer.onDefect);
    }
    for (const plan of plans) {
      const before = this.#wanted.get(plan.model);
      if (before?.key === plan.key) {
        this.#roster.direct(plan.model, highestVersion, hash);
        continue;
      }
      before?.abort.abort();
      const abort = new AbortController();
      const done = (before?.done ?? Promise.resolve())
        .then(() => this.#deploy(plan, hash, abort.signal))
        .catch(this.#observer.onDefect);
      this.#wanted.set(plan.model, { key: plan.key, abort, done });
    }
  }

  /** Resolves when everything that was applied is in force or has failed for good. Retries count as under way. */
  async settled(): Promise<void> {
    await Promise.all([...this.#wanted.values()].map(({ done }) => done));
  }

  /** Stops what is under way. What serves goes on: the roster is closed by its owner. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { abort } of this.#wanted.values()) abort.abort();
    await this.settled();
  }

  async #deploy(plan: DeploymentPlan, hash: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const record = this.#roster.begin(plan.model, plan.version, plan.reference, hash);
    if (plan.pipeline !== undefined) {
      await this.#deployPipeline(plan, plan.pipeline, record, signal);
      return;
    }
    let told = "";
    for (;;) {
      try {
        await this.#loadAndServe(plan, record, signal);
        return;
      } catch (cause) {
        const error = asMillraceError(cause);
        if (signal.aborted) {
          this.#roster.update(record, State.UNLOADED, supersededError());
          return;
        }
        if (error.message !== told) {
          told = error.message;
          this.#roster.update(record, error.code === "UNAVAILABLE" ? State.LOADING : State.FAILED, error);
          this.#observer.onFailed(plan.model, plan.version, error);
        }
        if (!mayPass(error)) return;
        await sleep(retryMs, signal);
      }
    }
  }

  async #deployPipeline(
    { model, version, policy, maxMessageBytes }: DeploymentPlan,
    plan: PipelinePlan,
    record: VersionRecord,
    signal: AbortSignal,
  ): Promise<void> {
    await servePipeline(
      this.#roster,
      { plan, policy, maxMessageBytes },
      record,
      {
        onServes: () => this.#observer.onServes(model, version, "", "a pipeline"),
        onFailed: (error) => this.#observer.onFailed(model, version, error),
      },
      signal,
    );
    if (record.served === undefined) this.#roster.update(record, State.UNLOADED, supersededError());
  }

  async #loadAndServe(plan: DeploymentPlan, record: VersionRecord, signal: AbortSignal): Promise<void> {
    const { model, version, reference } = plan;
    const reader = await checkedPackage(this.#sources, reference, signal);
    record.digest = reader.digest;
    let joining = "";
    const served = await loadVersion(
      {
        name: model,
        version,
        origin: { reference, digest: reader.digest, repository: reader.repository, manifest: reader.manifest },
        model: await reader.model(signal),
        externalData: await reader.externalData(signal),
        golden: await reader.golden(signal),
        options: plan.options,
        policy: plan.policy,
        maxMessageBytes: plan.maxMessageBytes,
      },
      {
        onState: (state) => this.#roster.update(record, state),
        onJoining: (text) => {
          joining = text;
        },
      },
    );
    if (signal.aborted) {
      await served.retire();
      throw supersededError();
    }
    // The one before drains in its own time: a call that is still held by it must not keep a newer version away.
    Promise.all([this.#roster.serve(model, record, served), this.#roster.retain(model, [version])]).catch(
      this.#observer.onDefect,
    );
    this.#observer.onServes(model, version, reader.digest, joining);
  }

  async #unload(model: string): Promise<void> {
    if (this.#closed || this.#wanted.has(model)) return;
    await this.#roster.unload(model);
    this.#observer.onUnloaded(model);
  }
}

/** What another service may still change: a package that is pushed later, features that are applied later. */
const passing: ReadonlySet<Reason> = new Set([
  Reason.PACKAGE_UNKNOWN,
  Reason.FEATURE_SERVICE_UNKNOWN,
  Reason.NOTHING_APPLIED,
  Reason.SCHEMA_MISMATCH,
]);

const mayPass = (error: MillraceError): boolean => error.code === "UNAVAILABLE" || passing.has(error.reason);

const supersededError = () =>
  new MillraceError("ABORTED", Reason.CONFLICT, "A newer declaration came before this version was in force.");

const asMillraceError = (error: unknown): MillraceError =>
  error instanceof MillraceError
    ? error
    : new MillraceError("INTERNAL", Reason.INTERNAL, "The version could not be loaded.", { cause: error });

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
