import type { TimelineEvent } from "./timeline.ts";

type Arrival = Extract<TimelineEvent, { kind: "arrival" }>;
type Departure = Extract<TimelineEvent, { kind: "departure" }>;

/** Arrivals that are appended and applied, then departures that are predicted. */
export interface Round {
  readonly arrivals: readonly Arrival[];
  readonly departures: readonly Departure[];
}

/** Most predictions of one call. */
const maxDepartures = 256;
const maxArrivals = 2000;

/**
 * Cuts a sequence of events into the fewest rounds in which every prediction still sees exactly the arrivals before it: a
 * round ends when an aircraft comes in at an airport from which a departure is waiting. The cut depends on nothing but the
 * events, so a replay that was interrupted can find its place again by counting arrivals.
 */
export function* rounds(events: Iterable<TimelineEvent>): Generator<Round> {
  let arrivals: Arrival[] = [];
  let departures: Departure[] = [];
  const waiting = new Set<string>();
  for (const event of events) {
    if (event.kind === "label") continue;
    const tooMany = departures.length === maxDepartures || arrivals.length === maxArrivals;
    if (tooMany || (event.kind === "arrival" && waiting.has(event.airport))) {
      yield { arrivals, departures };
      arrivals = [];
      departures = [];
      waiting.clear();
    }
    if (event.kind === "arrival") arrivals.push(event);
    else {
      departures.push(event);
      waiting.add(event.airport);
    }
  }
  if (arrivals.length > 0 || departures.length > 0) yield { arrivals, departures };
}
