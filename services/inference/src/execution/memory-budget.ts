import { MillraceError, Reason } from "@millrace/errors";

const mebibyte = 1024 * 1024;
/** What a worker takes beside its model: the thread's heap and code, and the runtime's own. */
const workerBytes = 25 * mebibyte;
/** Loading a model of up to this size leaves pieces with the allocator that it does not give back. */
const smallBytes = 32 * mebibyte;

/** What one instance takes beside its thread, as `test/measure-memory.ts` measures it. */
const weightsBytes = (modelBytes: number): number => Math.max(3 * Math.min(modelBytes, smallBytes), 1.1 * modelBytes);

/** Memory that instances of a model are counted with. @param modelBytes of its file and of its files of weights. */
export const instancesBytes = (modelBytes: number, instances: number): number =>
  // The service keeps the bytes once for all of them, to start another instance where one is lost.
  Math.ceil(modelBytes + instances * (workerBytes + weightsBytes(modelBytes)));

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
