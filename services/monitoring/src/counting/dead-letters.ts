import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DeadLetterSchema } from "@millrace/contracts/millrace/event/v1/event";
import type { EventLog, LogRecord } from "@millrace/event-log";
import type { Unusable } from "./read-record.ts";

/**
 * Writes records that could not be used to their topic. A record that is read again after a crash is written again, with
 * the same `ce_id`: its topic, partition and offset.
 */
export class DeadLetters {
  readonly #log: EventLog;
  readonly #topic: string;
  readonly #nowMs: () => number;
  readonly #onRejected: (reason: string) => void;

  constructor(log: EventLog, topic: string, nowMs: () => number, onRejected: (reason: string) => void) {
    this.#log = log;
    this.#topic = topic;
    this.#nowMs = nowMs;
    this.#onRejected = onRejected;
  }

  async append(topic: string, record: LogRecord, { reason, detail }: Unusable): Promise<void> {
    const letter = create(DeadLetterSchema, {
      topic,
      partition: record.partition,
      offset: record.offset,
      reason,
      detail,
      key: record.key ?? new Uint8Array(),
      value: record.value ?? new Uint8Array(),
      rejectedAt: timestampFromMs(this.#nowMs()),
    });
    await this.#log.append(this.#topic, [
      {
        ...(record.key === undefined ? {} : { key: record.key }),
        value: toBinary(DeadLetterSchema, letter),
        headers: {
          ce_id: `${topic}/${record.partition}/${record.offset}`,
          ce_type: "io.millrace.dead-letter.v1",
          ce_source: "millrace/monitoring",
          ce_specversion: "1.0",
        },
      },
    ]);
    this.#onRejected(reason);
  }
}
