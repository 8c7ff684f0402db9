import { Counter, Gauge, type MetricObjectWithValues, type MetricValue, type Registry } from "prom-client";
import { durationBounds } from "../execution/model-statistics.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import { PipelineServable } from "./pipeline-servable.ts";
import type { StepStatistics } from "./step-statistics.ts";

type StepLabels = "pipeline" | "step" | "model";

/** Registers the metrics of pipelines' steps. The hot path adds to plain numbers; they are read when Prometheus asks. */
export const registerPipelineMetrics = (registry: Registry, roster: ModelRoster): void => {
  registry.registerMetric(new StepSeconds(roster));
  new Counter({
    name: "millrace_pipeline_step_failures_total",
    help: "Calls of a step that failed, by the code of the error.",
    labelNames: ["pipeline", "step", "model", "code"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, statistics } of stepRows(roster)) {
        for (const [code, count] of statistics.failures) this.inc({ ...labels, code }, count);
      }
    },
  });
};

/** A histogram whose counts are kept elsewhere: it has a gauge's base and a histogram's form. */
class StepSeconds extends Gauge<StepLabels> {
  readonly #roster: ModelRoster;

  constructor(roster: ModelRoster) {
    super({ name, help, labelNames: ["pipeline", "step", "model"], registers: [] });
    this.#roster = roster;
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<StepLabels>>> {
    const values = [...stepRows(this.#roster)].flatMap(({ labels, statistics }) => samples(labels, statistics));
    // prom-client gives the type of a metric as its number or its word, by version; in the text it is the word.
    return { name, help, type: "histogram" as never, aggregator: "sum", collect() {}, values };
  }
}

const name = "millrace_pipeline_step_seconds";
const help = "Time of a pipeline's step, from its tensors being there to its answer, by the model that ran.";

const samples = (labels: Record<StepLabels, string>, { answered, durations }: StepStatistics) => {
  const bounds = [...durationBounds.map(String), "+Inf"];
  return [
    ...durations.cumulative().map((value, place) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le: bounds[place] ?? "+Inf" },
      value,
    })),
    { metricName: `${name}_sum`, labels, value: answered.ns / 1e9 },
    { metricName: `${name}_count`, labels, value: answered.count },
  ];
};

function* stepRows(roster: ModelRoster) {
  for (const served of roster.served()) {
    if (!(served instanceof PipelineServable)) continue;
    for (const { step, model, statistics } of served.stepStatistics.rows()) {
      yield { labels: { pipeline: served.name, step, model }, statistics };
    }
  }
}
