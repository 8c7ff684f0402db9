const least = 1.25;
const most = 4;
/** What an answer that came too late adds; what one in time takes back. Their ratio is the share of late ones aimed at. */
const lateStep = 0.05;
const inTimeStep = 0.001;
/** A caller that leaves when so much of its time or less is left has given up because of its deadline. */
const givenUpShare = 0.25;

/** A request with a deadline, in ms of one clock. */
interface Timed {
  readonly arrivedMs: number;
  readonly expiresAtMs: number | undefined;
}

/**
 * How many times a predicted answer time must fit into what is left of a deadline. What a prediction cannot know is the
 * way of the request to here and of the answer back, and who else takes the processors: with short deadlines that is a
 * large part. It is learned from what became of those that were let in, and forgotten as answers are in time.
 */
export class DeadlineMargin {
  #factor = least;

  get factor(): number {
    return this.#factor;
  }

  /** A request was answered. @param hasLeft its caller did not wait for that. */
  answered(request: Timed, nowMs: number, hasLeft: boolean): void {
    const { expiresAtMs } = request;
    if (expiresAtMs === undefined) return;
    if (hasLeft) this.left(request, nowMs);
    else if (nowMs > expiresAtMs) this.#late();
    else this.#factor = Math.max(least, this.#factor - inTimeStep);
  }

  /** A request's caller left, or its deadline passed before it was run. */
  left({ arrivedMs, expiresAtMs }: Timed, nowMs: number): void {
    if (expiresAtMs === undefined) return;
    if (expiresAtMs - nowMs <= (expiresAtMs - arrivedMs) * givenUpShare) this.#late();
  }

  #late(): void {
    this.#factor = Math.min(most, this.#factor + lateStep);
  }
}
