import { Counter, Histogram, type Registry } from "prom-client";
import type { Servable } from "./servable.ts";
import type { ShadowObserver } from "./shadow-traffic.ts";

/** Differences of scores and probabilities are small, of prices and times large. */
const differenceBounds = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.5, 1, 10, 100, 1000];

/**
 * Registers what is counted of shadows: copies by what came of them, and how far outputs of numbers were apart.
 * @param onFailed is given why a copy failed, for the log: once for each reason of a shadow.
 */
export const registerShadowMetrics = (
  registry: Registry,
  onFailed: (model: string, shadow: string, error: unknown) => void,
): ShadowObserver => {
  const compared = new Counter({
    name: "millrace_shadow_compared_total",
    help: "Copies of answered calls, by what came of them: EQUAL, DIFFERENT, FAILED or DROPPED.",
    labelNames: ["model", "version", "shadow", "outcome"],
    registers: [registry],
  });
  const difference = new Histogram({
    name: "millrace_shadow_largest_difference",
    help: "Largest absolute difference between an output of numbers and the shadow's.",
    labelNames: ["model", "version", "shadow", "output"],
    buckets: differenceBounds,
    registers: [registry],
  });
  const labels = ({ name: model, version }: Servable, { version: shadow }: Servable) => ({ model, version, shadow });
  const told = new WeakMap<Servable, Set<string>>();
  return {
    onCompared: (served, shadow, outcome) => compared.inc({ ...labels(served, shadow), outcome }),
    onDifference: (served, shadow, output, largest) =>
      difference.observe({ ...labels(served, shadow), output }, largest),
    onFailed: (served, shadow, error) => {
      const reasons = told.get(shadow) ?? new Set();
      told.set(shadow, reasons);
      const reason = error instanceof Error ? error.name : String(error);
      if (reasons.has(reason)) return;
      reasons.add(reason);
      onFailed(served.name, shadow.version, error);
    },
  };
};
