import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when values are asked for a time that the online row has already left behind. */
export class TimeInThePastError extends MillraceError {
  constructor(view: string, atUs: number, settledUs: number) {
    super(
      "FAILED_PRECONDITION",
      Reason.TIME_IN_THE_PAST,
      `${view} was asked at ${timeText(atUs)}, and its row has gone on to ${timeText(settledUs)}: online values are known for that time and later. GetTrainingSet answers for the past.`,
      { metadata: { view, atUs: String(atUs), earliestUs: String(settledUs), use: "GetTrainingSet" } },
    );
  }
}

function timeText(timeUs: number): string {
  const date = new Date(timeUs / 1000);
  return Number.isNaN(date.getTime()) ? `${timeUs} µs` : `${date.toISOString()} (${timeUs} µs)`;
}
