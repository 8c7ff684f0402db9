/** Counts who holds something, so that it is freed when nobody does. */
export class Leases {
  #held = 0;
  #onReleased: (() => void)[] = [];

  /** Holds it until the answered function is called. */
  take(): () => void {
    this.#held++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#held--;
      if (this.#held === 0) for (const released of this.#onReleased.splice(0)) released();
    };
  }

  /** Resolves when nobody holds it. */
  async released(): Promise<void> {
    if (this.#held > 0) await new Promise<void>((resolve) => this.#onReleased.push(resolve));
  }
}
