/**
 * Whose turn it is between the thread that serves calls and the thread that runs a model: a word of shared memory that
 * counts. The worker waits for it to become odd, runs, and makes it even again.
 *
 *     caller   writes the slab, rows, kind │ turn 0→1, wake ──────────────────────▶ reads the answer
 *     worker                     waits ────┘        runs, writes the answer │ turn 1→2, wake ──┘
 *
 * Waking through shared memory costs a quarter of a message between threads, which for small models is most of a run.
 * What does not follow from the number of rows goes through a message port beside it, before the turn changes.
 */
export class Turns {
  readonly #words: Int32Array;
  readonly #inferNs: Float64Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(32)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, 4);
    this.#inferNs = new Float64Array(memory, 16, 1);
  }

  readonly memory: SharedArrayBuffer;

  /** The caller: hands over. @param rows of a run whose places follow from them; undefined where a message says more. */
  handOver(rows: number | undefined): number {
    this.#words[1] = rows ?? -1;
    const turn = Atomics.add(this.#words, 0, 1) + 1;
    Atomics.notify(this.#words, 0);
    return turn;
  }

  /** The caller: calls back in a later microtask or task, when the worker has handed back. */
  whenHandedBack(turn: number, onHandedBack: () => void): void {
    const waiting = Atomics.waitAsync(this.#words, 0, turn);
    if (waiting.async) waiting.value.then(onHandedBack, onHandedBack);
    else queueMicrotask(onHandedBack);
  }

  /** The caller: what the worker handed back with. */
  get handedBack(): { readonly hasMessage: boolean; readonly inferNs: number } {
    return { hasMessage: this.#words[2] === 1, inferNs: this.#inferNs[0] ?? 0 };
  }

  /** The worker: blocks until it is handed something. @returns the rows, or undefined where a message says more. */
  await(turn: number): number | undefined {
    while (Atomics.load(this.#words, 0) === turn) Atomics.wait(this.#words, 0, turn);
    const rows = this.#words[1] ?? -1;
    return rows < 0 ? undefined : rows;
  }

  /** The worker: hands back. @returns the turn to wait for the end of. */
  handBack(hasMessage: boolean, inferNs: number): number {
    this.#words[2] = hasMessage ? 1 : 0;
    this.#inferNs[0] = inferNs;
    const turn = Atomics.add(this.#words, 0, 1) + 1;
    Atomics.notify(this.#words, 0);
    return turn;
  }
}
