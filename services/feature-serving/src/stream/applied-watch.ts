import type { LogPosition } from "@millrace/event-log";
import type { AppliedPartition } from "./applied-partition.ts";
import type { ProgressStore } from "./progress.ts";

/** How often the progress is looked at while somebody waits and no thread of this process tells of it, in ms. */
const pollMs = 10;

/** Waits until the stream workers, in this process or another, have applied what was appended. */
export class AppliedWatch {
  readonly #progress: ProgressStore;
  /** What the stream worker of this process told, by topic and partition: ahead of what the store has. */
  readonly #told = new Map<string, AppliedPartition>();
  #waiters = new Set<() => void>();

  constructor(progress: ProgressStore) {
    this.#progress = progress;
  }

  /** Takes what the stream worker of this process tells: all who wait look again. */
  notify(applied: readonly AppliedPartition[]): void {
    for (const partition of applied) this.#told.set(`${partition.topic}/${partition.partition}`, partition);
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) wake();
  }

  /**
   * Resolves when every view has applied everything before the targets. @returns what is applied, by partition.
   * @throws the reason of the signal.
   */
  async wait(
    topic: string,
    epoch: string,
    views: readonly string[],
    targets: readonly LogPosition[],
    signal: AbortSignal,
  ): Promise<LogPosition[]> {
    const partitions = targets.map(({ partition }) => partition);
    for (;;) {
      signal.throwIfAborted();
      const moved = this.#next(signal);
      const held = await this.#progress.read(topic, partitions);
      const applied = targets.map(({ partition }, index): LogPosition => {
        const stored = held[index];
        const told = this.#told.get(`${topic}/${partition}`);
        const positionOf = (id: string): number =>
          Math.max(
            stored?.epoch === epoch ? (stored.positions[id] ?? 0) : 0,
            told?.epoch === epoch ? (told.positions[id] ?? 0) : 0,
          );
        const lowest = Math.min(...views.map(positionOf));
        return { partition, offset: BigInt(lowest) };
      });
      if (views.length === 0) return [...targets];
      if (applied.every(({ offset }, index) => offset >= (targets[index]?.offset ?? 0n))) return applied;
      await moved;
    }
  }

  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        this.#waiters.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, pollMs);
      signal.addEventListener("abort", wake);
      this.#waiters.add(wake);
    });
  }
}
