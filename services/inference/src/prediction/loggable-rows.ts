import type { NewRecord } from "@millrace/event-log";

/** Rows that are to be logged: what they need is held, and they are encoded later, off the way of the call. */
export interface LoggableRows {
  readonly count: number;
  /** Memory that they hold, in bytes. */
  readonly bytes: number;
  /** Encodes the rows from one place up to another. Each is asked for once. */
  records(from: number, to: number): NewRecord[];
}

/** The attributes of a prediction's CloudEvent, as headers of Kafka's binary mode. */
export const predictionHeaders = (id: string, model: string, answeredMs: number): Record<string, string> => ({
  ce_specversion: "1.0",
  ce_id: id,
  ce_source: `/millrace/inference/${model}`,
  ce_type: "io.millrace.prediction.v1",
  ce_subject: model,
  ce_time: isoTime(answeredMs),
  "content-type": "application/protobuf",
});

/** Under load many predictions are answered in one millisecond. */
const isoTime = (ms: number): string => {
  if (ms !== last.ms) last = { ms, text: new Date(ms).toISOString() };
  return last.text;
};

let last = { ms: Number.NaN, text: "" };
