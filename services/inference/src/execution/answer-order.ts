/** Where a request's answer stands among those of its level. */
export interface AnswerPlace {
  /** Lets the answer go once those before it went; at once where the place was given up. */
  settle(answer: () => void): void;
  /** Gives the place up: whoever stands behind does not wait for it. */
  forfeit(): void;
}

interface Place {
  answer: (() => void) | undefined;
  isForfeited: boolean;
}

const gone = () => undefined;

/** Has answers leave in the order in which their requests came, by level, whichever instance is done first. */
export class AnswerOrder {
  readonly #levels = new Map<number, Place[]>();

  /** Takes the place behind the requests that came before. */
  enter(level: number): AnswerPlace {
    let places = this.#levels.get(level);
    if (places === undefined) {
      places = [];
      this.#levels.set(level, places);
    }
    const line = places;
    const place: Place = { answer: undefined, isForfeited: false };
    line.push(place);
    const letGo = (answer: () => void) => {
      place.answer = answer;
      while (line[0]?.answer !== undefined) line.shift()?.answer?.();
    };
    return {
      settle: (answer) => (place.isForfeited ? answer() : letGo(answer)),
      forfeit: () => {
        place.isForfeited = true;
        letGo(gone);
      },
    };
  }
}
