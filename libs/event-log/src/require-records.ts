import type { NewRecord } from "./event-log.ts";
import { RecordInvalidError } from "./record-invalid-error.ts";

/** Most bytes of a record's key, value and headers together: what Kafka's brokers take unless they are told otherwise. */
export const maxRecordBytes = 1_000_000;
const mostHeaders = 100;

/** @throws RecordInvalidError unless the name is Kafka's kind: letters, digits, dot, underscore, dash; at most 249. */
export const requireTopicName = (topic: string): void => {
  if (!/^[A-Za-z0-9._-]{1,249}$/.test(topic) || topic === "." || topic === "..") {
    const expected = "1 to 249 letters, digits, dots, underscores or dashes";
    throw new RecordInvalidError("topic", expected, JSON.stringify(topic.slice(0, 300)));
  }
};

/** @throws RecordInvalidError naming the first record that no adapter takes. */
export const requireRecords = (records: readonly NewRecord[], partitions: number): void => {
  for (let i = 0; i < records.length; i++) {
    const record = records[i] as NewRecord;
    let bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0);
    if (record.headers !== undefined) {
      const entries = Object.entries(record.headers);
      if (entries.length > mostHeaders) {
        throw new RecordInvalidError(
          `records[${i}].headers`,
          `at most ${mostHeaders}`,
          `${entries.length}`,
          "too large",
        );
      }
      for (const [name, value] of entries) bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
    }
    if (bytes > maxRecordBytes) {
      throw new RecordInvalidError(`records[${i}]`, `at most ${maxRecordBytes} bytes`, `${bytes}`, "too large");
    }
    const { partition, timestampMs } = record;
    if (partition !== undefined && !(Number.isInteger(partition) && partition >= 0 && partition < partitions)) {
      throw new RecordInvalidError(`records[${i}].partition`, `0 to ${partitions - 1}`, `${partition}`);
    }
    if (timestampMs !== undefined && !(Number.isSafeInteger(timestampMs) && timestampMs >= 0)) {
      throw new RecordInvalidError(`records[${i}].timestampMs`, "whole milliseconds since 1970", `${timestampMs}`);
    }
  }
};
