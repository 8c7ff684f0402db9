import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { ModelPackageReader } from "@millrace/model-package";
import { FeaturesUnavailableError } from "../prediction/predict-errors.ts";
import { loadVersion } from "../serving/load-version.ts";
import type { ModelRoster, VersionRecord } from "../serving/model-roster.ts";
import { pause } from "../serving/pause.ts";
import type { PredictPolicy } from "../serving/servable.ts";
import type { ServedVersion } from "../serving/served-version.ts";
import { checkedPackage, checkFeatures, type PackageSources } from "./check-package.ts";
import type { VersionPlan } from "./deployment-options.ts";

/** What a load tells its deployment. */
export interface VersionLoadObserver {
  /** It is loaded and checked, and nothing newer has come. Whoever is told owns it from now on. @param text of joining. */
  onLoaded(load: VersionLoad, served: ServedVersion, text: string): void;
  /** It failed, for another reason than the time before. */
  onFailed(load: VersionLoad, error: MillraceError): void;
  /** It serves, and its features turn out not to be there: it must be taken out of service. It is then tried again. */
  onMisfit(load: VersionLoad, error: MillraceError): void;
}

const firstRetryMs = 1000;
const longestRetryMs = 10_000;
/** Each try to find room in memory fetches the package first. */
const longestRetryForMemoryMs = 60_000;

/**
 * One version on its way: its package is checked, it is loaded, warmed up and held to the golden examples. What others may
 * still change is tried again, after one second at first and ten at last, until it is superseded.
 */
export class VersionLoad {
  readonly plan: VersionPlan;
  readonly record: VersionRecord;
  /** Resolves when nothing of it is under way any more. */
  readonly done: Promise<void>;
  /** What came of it so far; a version that failed may be tried again. `unfit`: it was taken out for its tensors. */
  outcome: "pending" | "ready" | "failed" | "unfit" = "pending";
  readonly #roster: ModelRoster;
  readonly #sources: PackageSources;
  readonly #terms: () => { readonly policy: PredictPolicy; readonly maxMessageBytes: number | undefined };
  readonly #observer: VersionLoadObserver;
  readonly #model: string;
  readonly #abort = new AbortController();
  readonly #watch = new AbortController();
  #unchecked: ModelPackageReader | undefined;

  /** @param after what must be over before it begins: an earlier load of the same version. */
  constructor(
    model: string,
    plan: VersionPlan,
    roster: ModelRoster,
    sources: PackageSources,
    terms: () => { readonly policy: PredictPolicy; readonly maxMessageBytes: number | undefined },
    observer: VersionLoadObserver,
    after: Promise<void> = Promise.resolve(),
  ) {
    this.#model = model;
    this.plan = plan;
    this.#roster = roster;
    this.#sources = sources;
    this.#terms = terms;
    this.#observer = observer;
    this.record = roster.begin(model, plan.version, plan.reference);
    this.done = after.then(() => this.#run());
  }

  /** Ends it, where it is not ready: a newer declaration has no use for it. */
  supersede(): void {
    this.#watch.abort();
    if (this.outcome === "ready") return;
    this.#abort.abort();
    if (this.record.state === State.UNLOADED) return;
    const { state, message } = this.record;
    const error = state === State.FAILED ? new MillraceError("ABORTED", Reason.CONFLICT, message) : supersededError();
    this.#roster.update(this.record, State.UNLOADED, error);
  }

  /**
   * Checks the features of a version that serves unchecked as soon as feature-serving answers, and resolves then, or at
   * once where they are checked. Called when it serves.
   */
  async watchFeatures(): Promise<void> {
    const reader = this.#unchecked;
    const { signal } = this.#watch;
    if (reader === undefined || signal.aborted) return;
    this.#unchecked = undefined;
    const away = "Its features are not checked yet, since feature-serving does not answer.";
    this.#roster.update(this.record, State.READY, new FeaturesUnavailableError(away, firstRetryMs, undefined));
    while (this.outcome === "ready") {
      await pause(firstRetryMs, signal);
      if (signal.aborted) return;
      try {
        await checkFeatures(reader, this.#sources.features, signal);
        this.#roster.update(this.record, State.READY);
        return;
      } catch (cause) {
        const error = asMillraceError(cause);
        if (error.code === "UNAVAILABLE" || signal.aborted) continue;
        this.outcome = "failed";
        this.#observer.onMisfit(this, error);
        await this.#run();
        return;
      }
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    let told = "";
    for (let retryMs = firstRetryMs; !signal.aborted; retryMs *= 2) {
      try {
        await this.#load(signal);
        return;
      } catch (cause) {
        if (signal.aborted) return;
        const error = asMillraceError(cause);
        this.outcome = "failed";
        const state = error.code === "UNAVAILABLE" ? State.LOADING : State.FAILED;
        if (error.message !== told || this.record.state !== state) this.#roster.update(this.record, state, error);
        if (error.message !== told) this.#observer.onFailed(this, error);
        told = error.message;
        if (!mayPass(error)) return;
        const longestMs = error.reason === Reason.MEMORY_BUDGET ? longestRetryForMemoryMs : longestRetryMs;
        retryMs = Math.min(retryMs, longestMs);
        await pause(retryMs, signal);
      }
    }
  }

  async #load(signal: AbortSignal): Promise<void> {
    const { version, reference, options } = this.plan;
    const terms = this.#terms();
    const { reader, signedBy, unchecked } = await checkedPackage(
      this.#sources,
      this.plan,
      terms.policy.features,
      signal,
    );
    this.record.digest = reader.digest;
    this.record.signedBy = signedBy;
    let joining = "";
    const served = await loadVersion(
      {
        name: this.#model,
        version,
        origin: { reference, digest: reader.digest, repository: reader.repository, manifest: reader.manifest },
        model: await reader.model(signal),
        externalData: await reader.externalData(signal),
        golden: await reader.golden(signal),
        options,
        ...terms,
      },
      {
        onState: (state) => {
          if (!signal.aborted) this.#roster.update(this.record, state);
        },
        onJoining: (text) => {
          joining = text;
        },
      },
    );
    if (signal.aborted) {
      await served.retire();
      return;
    }
    this.outcome = "ready";
    this.#unchecked = unchecked ? reader : undefined;
    this.#observer.onLoaded(this, served, joining);
  }
}

/**
 * What others may still change: a package or a signature that is pushed later, features that are applied later, memory
 * that another model gives back.
 */
const passing: ReadonlySet<Reason> = new Set([
  Reason.PACKAGE_UNKNOWN,
  Reason.SIGNATURE_INVALID,
  Reason.FEATURE_SERVICE_UNKNOWN,
  Reason.NOTHING_APPLIED,
  Reason.SCHEMA_MISMATCH,
  Reason.MEMORY_BUDGET,
]);

const mayPass = (error: MillraceError): boolean => error.code === "UNAVAILABLE" || passing.has(error.reason);

/** Why something that was on its way is not any more. */
export const supersededError = () =>
  new MillraceError("ABORTED", Reason.CONFLICT, "A newer declaration came before this version was in force.");

const asMillraceError = (error: unknown): MillraceError =>
  error instanceof MillraceError
    ? error
    : new MillraceError("INTERNAL", Reason.INTERNAL, "The version could not be loaded.", { cause: error });
