/**
 * Memory that two threads share, into which one lays byte ranges one after the other.
 *
 * Each range begins at a multiple of 64 bytes, so that a view of any datatype fits and no two ranges share a cache line.
 * Whoever fills the slab and whoever reads it agree whose turn it is: the slab itself holds no lock. The same sizes in
 * the same order lie at the same places, so that both sides can find them without telling each other. Ranges are laid anew for each turn (`clear`), and the memory is kept; it is replaced by larger memory when a turn needs more.
 */
export class Slab {
  #memory: SharedArrayBuffer;
  #end = 0;

  /** @param memory bytes to begin with, or memory that another thread filled by the same steps. */
  constructor(memory: number | SharedArrayBuffer = 64 * 1024) {
    this.#memory = typeof memory === "number" ? new SharedArrayBuffer(memory) : memory;
  }

  /** The memory as it is now: hand it over with each turn, since `reserve` may have replaced it. */
  get memory(): SharedArrayBuffer {
    return this.#memory;
  }

  /** Begins a turn that will lay ranges of so many bytes in all, in so many ranges. Earlier views are void. */
  clear(bytes: number, ranges: number): void {
    const needed = bytes + ranges * 64;
    this.#end = 0;
    if (needed > this.#memory.byteLength) {
      this.#memory = new SharedArrayBuffer(2 ** Math.ceil(Math.log2(needed)));
    }
  }

  /**
   * Lays a range; its bytes are those of the turn before until they are written.
   * @throws RangeError when `clear` did not make room for it, which is a defect of the caller.
   */
  lay(bytes: number): Uint8Array {
    const range = new Uint8Array(this.#memory, this.#end, bytes);
    this.#end = Math.ceil((this.#end + bytes) / 64) * 64;
    return range;
  }
}
