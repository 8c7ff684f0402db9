export type {
  ConsumeOptions,
  Consumer,
  EventLog,
  GroupHandler,
  LogPosition,
  LogRecord,
  NewRecord,
  RecordBatch,
  TopicInfo,
} from "./event-log.ts";
export { LogUnavailableError } from "./log-unavailable-error.ts";
export { LogUrlInvalidError } from "./log-url-invalid-error.ts";
export { partitionOfKey } from "./murmur2.ts";
export { OffsetOutOfRangeError } from "./offset-out-of-range-error.ts";
export { type OpenEventLogOptions, openEventLog } from "./open-event-log.ts";
export { PartitionLostError } from "./partition-lost-error.ts";
export { RecordInvalidError } from "./record-invalid-error.ts";
export { maxRecordBytes } from "./require-records.ts";
export { TopicUnknownError } from "./topic-unknown-error.ts";
