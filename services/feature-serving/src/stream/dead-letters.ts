import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DeadLetterSchema } from "@millrace/contracts/millrace/event/v1/event";
import type { EventLog, LogRecord } from "@millrace/event-log";
import type { Rejection } from "@millrace/feature-definition/stream";

export interface RejectedRecord {
  readonly record: LogRecord;
  readonly rejection: Rejection;
}

/** Where the records of a topic go that cannot be used. */
export function deadLetterTopic(topic: string): string {
  return `${topic}.dead-letters`;
}

/** Writes refused records, with the reason, to the topic's dead-letter topic. Resolves when they are durable. */
export async function writeDeadLetters(
  log: EventLog,
  topic: string,
  rejected: readonly RejectedRecord[],
): Promise<void> {
  if (rejected.length === 0) return;
  await log.ensureTopic(deadLetterTopic(topic), 1);
  const rejectedAt = timestampFromMs(Date.now());
  const records = rejected.map(({ record, rejection }) => ({
    ...(record.key === undefined ? {} : { key: record.key }),
    value: toBinary(
      DeadLetterSchema,
      create(DeadLetterSchema, {
        topic,
        partition: record.partition,
        offset: record.offset,
        reason: rejection.reason,
        detail: rejection.detail,
        key: record.key ?? new Uint8Array(0),
        value: record.value ?? new Uint8Array(0),
        rejectedAt,
      }),
    ),
  }));
  await log.append(deadLetterTopic(topic), records);
}
