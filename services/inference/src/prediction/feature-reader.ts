import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  FeatureService,
  type FeatureServiceStatus,
  type GetFeaturesRequestSchema,
  type GetFeaturesResponse,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import { type Channel, type Client, createClient, RpcError } from "@millrace/grpc";
import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
} from "cockatiel";
import { KeptVersions } from "./kept-versions.ts";
import { FeaturesUnavailableError } from "./predict-errors.ts";

/** Calls that fail one after the other before no more are made, and how long none are then, in ms. */
const failuresToOpen = 5;
const openMs = 1000;
/** A call that had less time than this, in ms, says nothing of feature-serving when it is not answered in it. */
const tellingMs = 25;

/**
 * Reads features from feature-serving. After five failures in a row calls fail at once, and one call a second tries
 * whether it answers again: a dead feature-serving costs no deadline.
 */
export class FeatureReader {
  readonly #client: Client<typeof FeatureService>;
  readonly #breaker: CircuitBreakerPolicy;
  readonly #keptVersions = new KeptVersions();
  /** Failures of calls that had too little time to say something. */
  readonly #hurried = new WeakSet<Error>();

  constructor(channel: Channel) {
    this.#client = createClient(FeatureService, channel);
    this.#breaker = circuitBreaker(
      handleWhen((error) => this.#isFailure(error)),
      {
        halfOpenAfter: openMs,
        breaker: new ConsecutiveBreaker(failuresToOpen),
      },
    );
  }

  /** What the breaker counts: where a call is made to try feature-serving, whatever does not show that it answers. */
  #isFailure(error: unknown): boolean {
    if (this.#breaker.state === CircuitState.HalfOpen) return isAway(error) || isCancelled(error);
    return isAway(error) && !this.#hurried.has(error);
  }

  /** Whether calls are made: false while they fail at once. */
  get answers(): boolean {
    return this.#breaker.state !== CircuitState.Open;
  }

  /**
   * GetFeatures of a feature service, of the version that is given where feature-serving keeps it, else of the one in force:
   * one call, and now and then one more to learn that a version is not kept.
   * @throws as `getFeatures` does.
   */
  async getServiceFeatures(
    service: string,
    version: string,
    request: MessageInitShape<typeof GetFeaturesRequestSchema>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<GetFeaturesResponse> {
    const startedMs = performance.now();
    return this.#keptVersions.ask(service, version, (featureServiceVersion) =>
      this.getFeatures(
        { ...request, selection: { case: "featureService", value: service }, featureServiceVersion },
        Math.max(1, timeoutMs - (performance.now() - startedMs)),
        signal,
      ),
    );
  }

  /**
   * One call of GetFeatures.
   * @throws FeaturesUnavailableError where feature-serving does not answer in time; what it refuses the caller's columns
   *   with, as it is.
   */
  async getFeatures(
    request: MessageInitShape<typeof GetFeaturesRequestSchema>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<GetFeaturesResponse> {
    try {
      // The breaker would have this call wait for the one that tries, for as long as that one may take.
      if (this.#breaker.state === CircuitState.HalfOpen) throw new BrokenCircuitError();
      return await this.#breaker.execute(() => this.#ask(request, timeoutMs, signal), signal);
    } catch (error) {
      if (error instanceof BrokenCircuitError) {
        throw new FeaturesUnavailableError(
          "feature-serving has not answered for a while; it is tried once a second.",
          openMs,
          error,
        );
      }
      if (isAway(error) && !signal.aborted) {
        throw new FeaturesUnavailableError(
          `feature-serving did not answer within ${Math.round(timeoutMs)} ms.`,
          100,
          error,
        );
      }
      throw error instanceof RpcError ? passedOn(error) : error;
    }
  }

  async #ask(
    request: MessageInitShape<typeof GetFeaturesRequestSchema>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<GetFeaturesResponse> {
    try {
      return await this.#client.getFeatures(request, { timeoutMs, signal });
    } catch (error) {
      const hurried = error instanceof RpcError && error.code === "DEADLINE_EXCEEDED" && timeoutMs < tellingMs;
      if (hurried) this.#hurried.add(error);
      throw error;
    }
  }

  /**
   * One feature service and the schema of what it serves, of the version that is given where it is kept, else as applied.
   * @throws as `getFeatures` does.
   */
  async featureService(name: string, version: string, signal?: AbortSignal): Promise<FeatureServiceStatus | undefined> {
    return this.#keptVersions.ask(name, version, (kept) => this.#featureService(name, kept, signal));
  }

  async #featureService(
    name: string,
    version: string,
    signal: AbortSignal | undefined,
  ): Promise<FeatureServiceStatus | undefined> {
    try {
      const { featureService } = await this.#client.getFeatureService({ name, version }, { timeoutMs: 5000, signal });
      return featureService;
    } catch (error) {
      if (isAway(error)) throw new FeaturesUnavailableError("feature-serving does not answer.", openMs, error);
      throw error instanceof RpcError ? passedOn(error) : error;
    }
  }
}

const isAway = (error: unknown): error is RpcError =>
  error instanceof RpcError &&
  (error.code === "UNAVAILABLE" || error.code === "DEADLINE_EXCEEDED" || error.reason === "OVERLOADED");

const isCancelled = (error: unknown): boolean => error instanceof RpcError && error.code === "CANCELLED";

/** What feature-serving answered, as an error of this service with the same words. */
const passedOn = (error: RpcError): MillraceError => {
  const code = error.code === "UNKNOWN" ? "INTERNAL" : error.code;
  const reason = (Reason as Readonly<Record<string, Reason>>)[error.reason] ?? Reason.INTERNAL;
  return new MillraceError(code, reason, error.message, {
    violations: error.violations,
    metadata: { ...error.metadata, from: "feature-serving" },
    cause: error,
  });
};
