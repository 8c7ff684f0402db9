import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { EventLog } from "@millrace/event-log";
import type { Client } from "@millrace/grpc";
import { story } from "../story.ts";
import { Lane, type LaneServices, predictionId } from "./lane.ts";
import { whileAway } from "./retry.ts";
import { openTimeline, type TimelineEvent } from "./timeline.ts";

export interface ReplayOptions {
  readonly dataFolder: string;
  /** Keeps how far the replay came, so that it can go on. */
  readonly progressFile: string;
  readonly predictOneIn: number;
  readonly toUs: number;
  readonly signal: AbortSignal;
  /** Called after each day of the replay. */
  readonly onDay: (day: ReplayedDay) => void;
  /** Called at the end of each week, and of the replay, when all of it has been sent. */
  readonly onWeek: (fromUs: number, toUs: number) => Promise<void>;
}

export interface ReplayedDay {
  readonly fromUs: number;
  readonly arrivals: number;
  readonly predictions: number;
  readonly labels: number;
}

export interface ReplayServices extends LaneServices {
  readonly monitoring: Client<typeof MonitoringService>;
}

export interface ReplayTotals {
  arrivals: number;
  predictions: number;
  labels: number;
}

/** The replay was begun with other flights: going on would leave gaps. */
export class ReplayDiffersError extends Error {
  constructor(begun: number, asked: number) {
    super(
      `The replay in this state folder predicts one flight in ${begun}, and not in ${asked}: use --predict-one-in ${begun}, --fresh, or another --state.`,
    );
    this.name = "ReplayDiffersError";
  }
}

interface Progress extends ReplayTotals {
  readonly predictOneIn: number;
  readonly doneUntilUs: number;
  /** The end of each partition when everything before `doneUntilUs` was appended. */
  readonly ends: readonly number[];
}

const topic = "arrivals";
const source = "arrivals";
const model = "flight_delay";

/** The lane of an airport: stable, and the same on every machine. */
export const laneOf = (airport: string, lanes: number): number =>
  createHash("sha256").update(airport).digest().readUInt32BE(0) % lanes;

/**
 * Replays the timeline a day at a time through all lanes, and tells monitoring the labels as the flights arrive. It goes on
 * where it was interrupted: the topic itself says what was appended, and predictions and labels are repeated under their
 * ids.
 */
export const replay = async (services: ReplayServices, options: ReplayOptions): Promise<ReplayTotals> => {
  const { partitions } = await services.log.topic(topic);
  const timeline = await openTimeline({
    dataFolder: options.dataFolder,
    predictOneIn: options.predictOneIn,
    predictFromUs: story.replayFromUs,
  });
  const lanes = Array.from(
    { length: partitions },
    (_, partition) =>
      new Lane(services, {
        topic,
        source,
        model,
        partition,
        feed: (delay, atUs) => (atUs >= story.breakFromUs ? delay * story.brokenFactor : delay),
      }),
  );
  let progress = readProgress(options.progressFile) ?? {
    doneUntilUs: story.replayFromUs,
    ends: await endsOf(services.log),
    predictOneIn: options.predictOneIn,
    arrivals: 0,
    predictions: 0,
    labels: 0,
  };
  if (progress.predictOneIn !== options.predictOneIn) {
    throw new ReplayDiffersError(progress.predictOneIn, options.predictOneIn);
  }
  writeProgress(options.progressFile, progress);
  try {
    while (progress.doneUntilUs < options.toUs) {
      const fromUs = progress.doneUntilUs;
      const toUs = fromUs + story.dayUs;
      const events = await timeline.events(fromUs, toUs);
      const byLane: TimelineEvent[][] = lanes.map(() => []);
      for (const event of events) byLane[laneOf(event.airport, lanes.length)]?.push(event);
      const ends = await endsOf(services.log);
      await allOrNone(options.signal, (signal) =>
        lanes.map((lane, index) =>
          lane.replay(byLane[index] ?? [], (ends[index] ?? 0) - (progress.ends[index] ?? 0), signal),
        ),
      );
      const labels = await recordLabels(services.monitoring, events);
      const day: ReplayedDay = {
        fromUs,
        arrivals: events.filter((event) => event.kind === "arrival").length,
        predictions: events.filter((event) => event.kind === "departure").length,
        labels,
      };
      if (endsWeek(toUs) || toUs >= options.toUs) await options.onWeek(toUs - sinceMonday(toUs), toUs);
      progress = {
        doneUntilUs: toUs,
        ends: await endsOf(services.log),
        predictOneIn: options.predictOneIn,
        arrivals: progress.arrivals + day.arrivals,
        predictions: progress.predictions + day.predictions,
        labels: progress.labels + day.labels,
      };
      writeProgress(options.progressFile, progress);
      options.onDay(day);
    }
    return { arrivals: progress.arrivals, predictions: progress.predictions, labels: progress.labels };
  } finally {
    timeline.close();
  }
};

/** Runs lanes side by side. When one fails the others stop too, and are waited for, before its error is thrown. */
const allOrNone = async (
  signal: AbortSignal,
  start: (signal: AbortSignal) => readonly Promise<void>[],
): Promise<void> => {
  const own = new AbortController();
  const lanes = start(AbortSignal.any([signal, own.signal]));
  for (const lane of lanes) lane.catch((error: unknown) => own.abort(error));
  await Promise.allSettled(lanes);
  await Promise.all(lanes);
};

/** Weeks begin on Monday; the replay does too. A whole week is counted from its end. */
const sinceMonday = (toUs: number): number => (toUs - story.replayFromUs) % story.weekUs || story.weekUs;
const endsWeek = (toUs: number): boolean => sinceMonday(toUs) === story.weekUs;

const endsOf = async (log: EventLog): Promise<number[]> => (await log.bounds(topic)).map(({ end }) => Number(end));

const labelsOfOneCall = 2000;

const recordLabels = async (
  monitoring: Client<typeof MonitoringService>,
  events: readonly TimelineEvent[],
): Promise<number> => {
  const labels = events.filter((event) => event.kind === "label");
  for (let start = 0; start < labels.length; start += labelsOfOneCall) {
    const part = labels.slice(start, start + labelsOfOneCall).map(({ flight, late, atUs }) => {
      const time = { seconds: BigInt(Math.floor(atUs / 1_000_000)), nanos: (atUs % 1_000_000) * 1000 };
      return { predictionId: predictionId(flight), value: late ? 1 : 0, eventTime: time, knownAt: time };
    });
    await whileAway(() => monitoring.recordLabels({ labels: part }, { timeoutMs: 30_000 }));
  }
  return labels.length;
};

const readProgress = (file: string): Progress | undefined =>
  existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Progress) : undefined;

const writeProgress = (file: string, progress: Progress): void => {
  writeFileSync(`${file}.part`, JSON.stringify(progress));
  renameSync(`${file}.part`, file);
};
