import { Counter, type Registry } from "prom-client";

/** Registers the metric of explanations. @returns the rows that models were run on. */
export const registerExplanationMetrics = (registry: Registry): Counter<"model"> =>
  new Counter({
    name: "millrace_explanation_evaluations_total",
    help: "Rows that models were run on to explain their answers.",
    labelNames: ["model"],
    registers: [registry],
  });
