import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { VerifyFeaturesRequestSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { Counter, Gauge, type Registry } from "prom-client";
import type { FeatureServing } from "../feature-serving.ts";

export interface ContinuousVerificationOptions {
  readonly intervalMs: number;
  /** Entities that are drawn from each feature service. */
  readonly entities: number;
  readonly registry: Registry;
  readonly onTrouble: (error: unknown, featureService: string) => void;
}

/**
 * What VerifyFeatures does, again and again, for every feature service in force, with other entities each time: as
 * metrics, so that an alert tells when what is served and what files give begin to differ.
 */
export class ContinuousVerification {
  readonly #serving: FeatureServing;
  readonly #options: ContinuousVerificationOptions;
  readonly #compared: Counter<"feature">;
  readonly #mismatched: Counter<"feature">;
  readonly #failures: Counter<"feature_service">;
  readonly #finished: Gauge<"feature_service">;

  constructor(serving: FeatureServing, options: ContinuousVerificationOptions) {
    this.#serving = serving;
    this.#options = options;
    const registers = [options.registry];
    this.#compared = new Counter({
      name: "millrace_feature_verified_values_total",
      help: "Served values that were compared with what the sources' files give.",
      labelNames: ["feature"],
      registers,
    });
    this.#mismatched = new Counter({
      name: "millrace_feature_verification_mismatches_total",
      help: "Served values that differ from what the sources' files give.",
      labelNames: ["feature"],
      registers,
    });
    this.#failures = new Counter({
      name: "millrace_feature_verification_failures_total",
      help: "Verifications that could not be done, by feature service.",
      labelNames: ["feature_service"],
      registers,
    });
    this.#finished = new Gauge({
      name: "millrace_feature_verification_timestamp_seconds",
      help: "When a feature service was last verified, in seconds since 1970.",
      labelNames: ["feature_service"],
      registers,
    });
  }

  /** Verifies one service after the other until it is stopped. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const services = this.#serving.catalogue.current?.repository.services.keys() ?? [];
      for (const service of services) await this.#verify(service, signal);
      await sleep(this.#options.intervalMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #verify(featureService: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { entities, onTrouble } = this.#options;
    try {
      // Loaded when it is first needed: serving goes without Arrow.
      const { verifyFeatures } = await import("./verify-features.ts");
      const request = create(VerifyFeaturesRequestSchema, { featureService, entities });
      for await (const { part } of verifyFeatures(this.#serving, request, signal)) {
        if (part?.case !== "summary") continue;
        for (const { name = "", compared = 0n, mismatched = 0n } of part.value.features ?? []) {
          this.#compared.inc({ feature: name }, Number(compared));
          this.#mismatched.inc({ feature: name }, Number(mismatched));
        }
      }
      this.#finished.set({ feature_service: featureService }, Date.now() / 1000);
    } catch (error) {
      if (signal.aborted) return;
      this.#failures.inc({ feature_service: featureService });
      onTrouble(error, featureService);
    }
  }
}
