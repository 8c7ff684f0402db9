/** Upper bounds of the histogram of a step's time, in seconds. */
export const stepSecondsBounds = [
  0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
] as const;

/** What a model of a step has done. Plain numbers that the hot path adds to; metrics read them. */
export class StepStatistics {
  count = 0;
  seconds = 0;
  /** By code of the error. */
  readonly failures = new Map<string, number>();
  /** Calls by the first bound that is not below their time; the last is for those above all bounds. */
  readonly buckets = new Float64Array(stepSecondsBounds.length + 1);

  answered(seconds: number): void {
    this.count++;
    this.seconds += seconds;
    let bucket = 0;
    while (bucket < stepSecondsBounds.length && seconds > (stepSecondsBounds[bucket] ?? 0)) bucket++;
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
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
