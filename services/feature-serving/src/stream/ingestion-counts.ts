/** What the stream worker counts, in a form that travels between threads. */
export interface IngestionSnapshot {
  readonly events: number;
  readonly rowsWritten: number;
  readonly refused: number;
  readonly rewinds: number;
  /** By `topic reason`. */
  readonly deadLetters: Readonly<Record<string, number>>;
  /** Records behind the end, by `topic partition`. */
  readonly lag: Readonly<Record<string, number>>;
  /** Event time of the newest applied event in microseconds, by `view@version`. */
  readonly newestEventUs: Readonly<Record<string, number>>;
}

/** Counts what is ingested since the start of the worker. */
export class IngestionCounts {
  events = 0;
  rowsWritten = 0;
  refused = 0;
  rewinds = 0;
  readonly #deadLetters: Record<string, number> = {};
  readonly #lag: Record<string, number> = {};
  readonly #newestEventUs: Record<string, number> = {};

  deadLetter(topic: string, reason: string): void {
    const name = `${topic} ${reason}`;
    this.#deadLetters[name] = (this.#deadLetters[name] ?? 0) + 1;
  }

  lag(topic: string, partition: number, records: number): void {
    this.#lag[`${topic} ${partition}`] = records;
  }

  newest(view: string, eventTimeUs: number): void {
    this.#newestEventUs[view] = Math.max(this.#newestEventUs[view] ?? eventTimeUs, eventTimeUs);
  }

  snapshot(): IngestionSnapshot {
    const { events, rowsWritten, refused, rewinds } = this;
    return {
      events,
      rowsWritten,
      refused,
      rewinds,
      deadLetters: { ...this.#deadLetters },
      lag: { ...this.#lag },
      newestEventUs: { ...this.#newestEventUs },
    };
  }
}
