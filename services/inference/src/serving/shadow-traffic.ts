import { MillraceError, Reason } from "@millrace/errors";
import type { Tensor } from "@millrace/tensor";
import type { ObservedRun, RunObserver } from "./inference-path.ts";
import type { ModelRoster } from "./model-roster.ts";
import { outputDifference } from "./output-difference.ts";
import type { Servable } from "./servable.ts";

/** What came of a copy. */
export type ShadowOutcome = "EQUAL" | "DIFFERENT" | "FAILED" | "DROPPED";

/** What shadows tell, for metrics and the log. */
export interface ShadowObserver {
  onCompared(answered: Servable, shadow: Servable, outcome: ShadowOutcome): void;
  /** The largest absolute difference of an output of numbers. */
  onDifference(answered: Servable, shadow: Servable, output: string, largest: number): void;
  /** A copy failed on the shadow. */
  onFailed(answered: Servable, shadow: Servable, error: unknown): void;
}

/** Longest time that a copy may wait and run, in ms: copies of another minute are of no use. */
const copyTimeMs = 30_000;

/**
 * Sends a copy of each answered call to the shadows of its model, and compares what they answer with what the caller
 * got. The caller has the answer before the copy is sent, so that a copy neither delays nor fails a call; at most so many
 * copies of a shadow are under way, and what is over that is dropped and counted. A copy has the lowest priority in the
 * queue of its shadow.
 */
export class ShadowTraffic implements RunObserver {
  readonly #roster: ModelRoster;
  readonly #maxCopies: number;
  readonly #observer: ShadowObserver;
  /** Copies under way, by shadow. */
  readonly #underWay = new WeakMap<Servable, number>();

  /** @param maxCopies most copies of one shadow that are under way. */
  constructor(roster: ModelRoster, maxCopies: number, observer: ShadowObserver) {
    this.#roster = roster;
    this.#maxCopies = maxCopies;
    this.#observer = observer;
  }

  begin(run: ObservedRun): ((outputs: readonly Tensor[]) => void) | undefined {
    const shadows = this.#roster.shadowsOf(run.served);
    if (shadows.length === 0) return undefined;
    return (outputs) => {
      // The views are void when this returns. One copy is enough for all shadows.
      let kept: Tensor[] | undefined;
      for (const shadow of shadows) {
        const underWay = this.#underWay.get(shadow) ?? 0;
        if (underWay >= this.#maxCopies || !shadow.alive) {
          this.#observer.onCompared(run.served, shadow, "DROPPED");
          continue;
        }
        kept ??= outputs.map((output) => ({ ...output, data: output.data.slice() }));
        this.#underWay.set(shadow, underWay + 1);
        const answer = kept;
        const release = shadow.lease();
        setImmediate(() => {
          void this.#send(run, shadow, answer).finally(() => {
            release();
            this.#underWay.set(shadow, (this.#underWay.get(shadow) ?? 1) - 1);
          });
        });
      }
    };
  }

  async #send(run: ObservedRun, shadow: Servable, answer: readonly Tensor[]): Promise<void> {
    const { served } = run;
    try {
      const inputs = shadow.inputs.flatMap(({ name }) => run.inputs.find((input) => input.name === name) ?? []);
      const rows = shadow.batched ? (inputs[0]?.shape[0] ?? 1) : 1;
      const options = { deadlineMs: Date.now() + copyTimeMs, priority: shadow.priorityLevels || undefined };
      const equal = await shadow.infer(inputs, rows, options, (outputs) =>
        this.#compare(served, shadow, answer, outputs),
      );
      this.#observer.onCompared(served, shadow, equal ? "EQUAL" : "DIFFERENT");
    } catch (error) {
      const dropped = error instanceof MillraceError && droppedFor.has(error.reason);
      this.#observer.onCompared(served, shadow, dropped ? "DROPPED" : "FAILED");
      if (!dropped) this.#observer.onFailed(served, shadow, error);
    }
  }

  #compare(served: Servable, shadow: Servable, answer: readonly Tensor[], outputs: readonly Tensor[]): boolean {
    let all = true;
    for (const one of answer) {
      const { equal, largest } = outputDifference(
        one,
        outputs.find(({ name }) => name === one.name),
      );
      if (!equal) all = false;
      if (largest !== undefined) this.#observer.onDifference(served, shadow, one.name, largest);
    }
    return all;
  }
}

/** A shadow that has no time for a copy does not fail on it. */
const droppedFor: ReadonlySet<Reason> = new Set([Reason.OVERLOADED, Reason.DEADLINE_EXCEEDED, Reason.MODEL_NOT_READY]);
