import { MillraceError, Reason } from "@millrace/errors";

const mebibyte = 1024 * 1024;
/** What a worker takes beside its model: the thread's heap and the runtime's own. Measured: see the README. */
const workerBytes = 14 * mebibyte;
/** Bytes of memory for each byte of a model file: the runtime's copy of the weights, and room to load them. */
const bytesPerModelByte = 2;

/** Memory that instances of a model are counted with. @param modelBytes of its file and of its files of weights. */
export const instancesBytes = (modelBytes: number, instances: number): number =>
  // The service keeps the bytes of the file once, to start another instance where one is lost.
  modelBytes + instances * (workerBytes + bytesPerModelByte * modelBytes);

/** Thrown where a model would take more memory than is left of the budget. */
export class MemoryBudgetError extends MillraceError {
  constructor(what: string, bytes: number, takenBytes: number, maxBytes: number) {
    super(
      "RESOURCE_EXHAUSTED",
      Reason.MEMORY_BUDGET,
      `${what} would take about ${mebibytes(bytes)} MiB, and ${mebibytes(maxBytes - takenBytes)} MiB are left of the budget of ${mebibytes(maxBytes)} MiB.`,
      { metadata: { bytes: String(bytes), leftBytes: String(maxBytes - takenBytes), budgetBytes: String(maxBytes) } },
    );
  }
}

const mebibytes = (bytes: number): string => (bytes / mebibyte).toFixed(1);

/** Memory for models, counted by what they are expected to take. */
export class MemoryBudget {
  readonly #maxBytes: number;
  #taken = 0;

  /** @param maxBytes Infinity: no bound. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get takenBytes(): number {
    return this.#taken;
  }
  get maxBytes(): number {
    return this.#maxBytes;
  }

  /**
   * Takes memory until the answered function is called.
   * @param what in the error, such as `Version 2 of the model m`. @throws MemoryBudgetError
   */
  take(what: string, bytes: number): () => void {
    if (this.#taken + bytes > this.#maxBytes) throw new MemoryBudgetError(what, bytes, this.#taken, this.#maxBytes);
    this.#taken += bytes;
    let held = true;
    return () => {
      if (held) this.#taken -= bytes;
      held = false;
    };
  }
}
