import { describe, expect, test } from "vitest";
import { rounds } from "./rounds.ts";
import type { TimelineEvent } from "./timeline.ts";

const arrival = (atUs: number, airport: string): TimelineEvent => ({
  kind: "arrival",
  atUs,
  airport,
  flight: atUs,
  delay: 0,
});
const departure = (atUs: number, airport: string): TimelineEvent => ({
  kind: "departure",
  atUs,
  airport,
  flight: atUs,
  distance: 1,
});

describe("the rounds of a replay", () => {
  test("put an arrival before the departures that it precedes at its airport", () => {
    const cut = [...rounds([arrival(1, "ATL"), departure(2, "ATL")])];
    expect(cut).toHaveLength(1);
  });

  test("end when an aircraft comes in where a departure is waiting", () => {
    const cut = [...rounds([departure(1, "ATL"), arrival(2, "ORD"), arrival(3, "ATL"), departure(4, "ATL")])];
    expect(cut.map((round) => [round.arrivals.map((a) => a.atUs), round.departures.map((d) => d.atUs)])).toEqual([
      [[2], [1]],
      [[3], [4]],
    ]);
  });

  test("let no prediction see an arrival that came at its moment or later, nor miss one before, for random traffic", () => {
    const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000);
    console.log(`seed ${seed}`);
    let state = seed;
    const random = (below: number): number => {
      state = (state * 48271 + 11) % 2147483647;
      return state % below;
    };
    const events = Array.from({ length: 3000 }, (_, index) =>
      (random(3) === 0 ? departure : arrival)(index, `airport-${random(6)}`),
    );
    const applied = new Map<string, number[]>();
    let predictions = 0;
    for (const round of rounds(events)) {
      for (const { airport, atUs } of round.arrivals) applied.set(airport, [...(applied.get(airport) ?? []), atUs]);
      for (const { airport, atUs } of round.departures) {
        predictions++;
        const before = events
          .filter((e) => e.kind === "arrival" && e.airport === airport && e.atUs < atUs)
          .map((e) => e.atUs);
        expect(applied.get(airport) ?? []).toEqual(before);
      }
    }
    expect(predictions).toBe(events.filter((e) => e.kind === "departure").length);
  });
});
