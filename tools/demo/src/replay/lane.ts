import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { PredictionService } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import type { EventLog } from "@millrace/event-log";
import type { Client } from "@millrace/grpc";
import { whileAway } from "./retry.ts";
import { type Round, rounds } from "./rounds.ts";
import type { TimelineEvent } from "./timeline.ts";

export interface LaneServices {
  readonly log: EventLog;
  readonly features: Client<typeof FeatureService>;
  readonly predictions: Client<typeof PredictionService>;
}

export interface LaneOptions {
  readonly topic: string;
  readonly source: string;
  readonly model: string;
  /** The partition of the topic that this lane, and nobody else, appends to. */
  readonly partition: number;
  /** What the feed makes of a delay at a time: the identity, until something is broken. */
  readonly feed: (delay: number, atUs: number) => number;
}

const text = new TextEncoder();

/** The id of the prediction of a flight: repeating a call repeats the id, and is counted once. */
export const predictionId = (flight: number): string => `flight-${flight}`;

/**
 * Replays the airports of one partition. All that a prediction reads is in its own partition, so lanes run side by side
 * while each keeps the order of time.
 */
export class Lane {
  readonly #services: LaneServices;
  readonly #options: LaneOptions;

  constructor(services: LaneServices, options: LaneOptions) {
    this.#services = services;
    this.#options = options;
  }

  /**
   * Replays events in their order.
   * @param appended how many of these arrivals the topic has from an earlier attempt: they are not appended again.
   */
  async replay(events: readonly TimelineEvent[], appended: number, signal: AbortSignal): Promise<void> {
    let skip = appended;
    for (const round of rounds(events)) {
      signal.throwIfAborted();
      const there = Math.min(skip, round.arrivals.length);
      skip -= there;
      // Everything of this round happened before the interruption, and so did the round after it.
      if (there === round.arrivals.length && skip > 0) continue;
      await this.#append(round, there);
      await this.#predict(round);
    }
  }

  async #append({ arrivals }: Round, there: number): Promise<void> {
    if (arrivals.length === 0) return;
    const { log, features } = this.#services;
    const { topic, source, partition, feed } = this.#options;
    let end: bigint | undefined;
    if (there < arrivals.length) {
      const places = await log.append(
        topic,
        arrivals.slice(there).map(({ airport, flight, delay, atUs }) => ({
          key: text.encode(airport),
          value: text.encode(
            JSON.stringify({ airport, flight, delay: feed(delay, atUs), arrived_at: atUs, received_at: atUs }),
          ),
          timestampMs: atUs / 1000,
          partition,
        })),
      );
      const last = places.at(-1);
      if (last !== undefined) end = last.offset + 1n;
    }
    const positions = end === undefined ? [] : [{ partition, offset: end }];
    await whileAway(() => features.awaitApplied({ source, positions }, { timeoutMs: 30_000 }));
  }

  async #predict({ departures }: Round): Promise<void> {
    if (departures.length === 0) return;
    const atUs = departures.map((departure) => BigInt(departure.atUs));
    await whileAway(() =>
      this.#services.predictions.predict(
        {
          model: this.#options.model,
          entities: [
            {
              name: "airport",
              values: { values: { case: "strings", value: { values: departures.map((d) => d.airport) } } },
            },
          ],
          request: [
            { name: "departed_at", values: { values: { case: "timestamps", value: { valuesUs: atUs } } } },
            {
              name: "distance",
              values: { values: { case: "int64s", value: { values: departures.map((d) => BigInt(d.distance)) } } },
            },
          ],
          atUs,
          predictionIds: departures.map((departure) => predictionId(departure.flight)),
        },
        { timeoutMs: 30_000 },
      ),
    );
  }
}
