import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a read begins before the first offset that the partition still holds, or after its end. */
export class OffsetOutOfRangeError extends MillraceError {
  constructor(topic: string, partition: number, offset: bigint, first: bigint, end: bigint) {
    super(
      "OUT_OF_RANGE",
      Reason.OFFSET_OUT_OF_RANGE,
      `Offset ${offset} of ${topic}/${partition} is out of range: expected ${first} to ${end}.`,
      { metadata: { topic, partition: `${partition}`, first: `${first}`, end: `${end}` } },
    );
  }
}
