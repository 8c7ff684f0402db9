import { fromBinary } from "@bufbuild/protobuf";
import { type DeadLetter, DeadLetterSchema } from "@millrace/contracts/millrace/event/v1/event";
import { MillraceError, Reason } from "@millrace/errors";
import { type EventLog, TopicUnknownError } from "@millrace/event-log";
import type { CompiledSource } from "@millrace/feature-definition";
import { deadLetterTopic } from "./write-dead-letters.ts";

/** A letter with its place in the dead-letter topic. */
export interface PlacedLetter {
  readonly partition: number;
  readonly offset: bigint;
  readonly letter: DeadLetter;
}

/** Every reason that a letter can have. */
export const deadLetterReasons = ["MALFORMED", "TOO_LATE", "FROM_THE_FUTURE", "KEY_NULL", "OVERFLOW"] as const;

/** Thrown when letters of a reason are asked for that no letter has. */
export class DeadLetterReasonUnknownError extends MillraceError {
  constructor(got: string) {
    const expected = `one of ${deadLetterReasons.join(", ")}, or none for all`;
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `reason: expected ${expected}, got ${got}.`, {
      violations: [{ field: "reason", expected, got }],
    });
  }
}

/** @throws DeadLetterReasonUnknownError */
export function requireDeadLetterReason(reason: string): void {
  if (reason !== "" && !deadLetterReasons.some((known) => known === reason)) {
    throw new DeadLetterReasonUnknownError(reason);
  }
}

/** The letters of a source that the dead-letter topic of its stream holds now, oldest first. */
export async function* readDeadLetters(
  log: EventLog,
  source: CompiledSource,
  signal: AbortSignal,
): AsyncGenerator<PlacedLetter> {
  if (source.stream === undefined) return;
  const topic = deadLetterTopic(source.stream.topic);
  for (const { partition, first, end } of await boundsOf(log, topic)) {
    if (first >= end) continue;
    for await (const { records } of log.read(topic, { partition, offset: first }, signal)) {
      for (const { offset, value } of records) {
        const letter = fromBinary(DeadLetterSchema, value ?? new Uint8Array(0));
        // Letters of before sources were named in them belong to whatever source reads the topic.
        if (letter.source === "" || letter.source === source.name) yield { partition, offset, letter };
      }
    }
  }
}

async function boundsOf(log: EventLog, topic: string): ReturnType<EventLog["bounds"]> {
  try {
    return await log.bounds(topic);
  } catch (error) {
    // The topic begins to be with its first letter.
    if (error instanceof TopicUnknownError) return [];
    throw error;
  }
}
