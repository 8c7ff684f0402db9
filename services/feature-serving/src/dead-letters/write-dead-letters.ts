import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DeadLetterSchema } from "@millrace/contracts/millrace/event/v1/event";
import { type EventLog, type LogRecord, maxRecordBytes } from "@millrace/event-log";
import type { Rejection } from "@millrace/feature-definition/stream";

export interface RejectedRecord {
  /** The source that cannot use it: several may read one topic. */
  readonly source: string;
  readonly record: LogRecord;
  readonly rejection: Rejection;
}

/** Where the records of a topic go that cannot be used. */
export function deadLetterTopic(topic: string): string {
  return `${topic}.dead-letters`;
}

/** Letters that are appended at once. */
const mostAtOnce = 500;

/**
 * Writes refused records, with the reason, to the topic's dead-letter topic. Resolves when they are durable. A record of
 * any content and size has a letter: one that would be larger than a topic takes goes without key, value and headers.
 */
export async function writeDeadLetters(
  log: EventLog,
  topic: string,
  epoch: string,
  rejected: readonly RejectedRecord[],
): Promise<void> {
  if (rejected.length === 0) return;
  await log.ensureTopic(deadLetterTopic(topic), 1);
  const rejectedAt = timestampFromMs(Date.now());
  for (let at = 0; at < rejected.length; at += mostAtOnce) {
    const records = rejected.slice(at, at + mostAtOnce).map(({ source, record, rejection }) => {
      const { partition, offset, timestampMs } = record;
      const place = { topic, topicEpoch: epoch, partition, offset, source, rejectedAt };
      const told = { ...place, reason: rejection.reason, detail: rejection.detail };
      const letter = letterBytes({
        ...told,
        key: record.key ?? new Uint8Array(0),
        value: record.value ?? new Uint8Array(0),
        keyAbsent: record.key === undefined,
        valueAbsent: record.value === null,
        recordTime: timestampFromMs(timestampMs),
        headers: { ...record.headers },
      });
      return { value: letter.length <= maxRecordBytes ? letter : letterBytes({ ...told, tooLarge: true }) };
    });
    await log.append(deadLetterTopic(topic), records);
  }
}

function letterBytes(letter: MessageInitShape<typeof DeadLetterSchema>): Uint8Array {
  return toBinary(DeadLetterSchema, create(DeadLetterSchema, letter));
}
