import { DurationHistogram } from "@millrace/service-host";
import { add, type CountedTime, durationBounds } from "../execution/model-statistics.ts";

/** What a model of a step has done. Plain numbers that the hot path adds to; metrics read them. */
export class StepStatistics {
  readonly answered: CountedTime = { count: 0, ns: 0 };
  readonly durations = new DurationHistogram(durationBounds);
  /** By code of the error. */
  readonly failures = new Map<string, number>();

  ran(ns: number): void {
    add(this.answered, 1, ns);
    this.durations.add(ns);
  }

  failed(code: string): void {
    this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
  }
}

/** The statistics of a pipeline's steps, by step and model: a router's step has several models. */
export class StepStatisticsTable {
  readonly #rows = new Map<string, Map<string, StepStatistics>>();

  of(step: string, model: string): StepStatistics {
    let models = this.#rows.get(step);
    if (models === undefined) {
      models = new Map();
      this.#rows.set(step, models);
    }
    let statistics = models.get(model);
    if (statistics === undefined) {
      statistics = new StepStatistics();
      models.set(model, statistics);
    }
    return statistics;
  }

  *rows(): Iterable<{ readonly step: string; readonly model: string; readonly statistics: StepStatistics }> {
    for (const [step, models] of this.#rows)
      for (const [model, statistics] of models) yield { step, model, statistics };
  }
}
