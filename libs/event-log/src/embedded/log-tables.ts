import type { LmdbFolder, LmdbTable } from "@millrace/lmdb-folder";

/** The tables of an embedded log. What lies in them is drawn in docs/embedded-log-format.md. */
export interface LogTables {
  readonly topics: LmdbTable;
  readonly partitions: LmdbTable;
  readonly batches: LmdbTable;
  readonly groups: LmdbTable;
}

export const openLogTables = (folder: LmdbFolder): LogTables => ({
  topics: folder.table({ name: "topics" }),
  partitions: folder.table({ name: "partitions" }),
  batches: folder.table({ name: "batches" }),
  groups: folder.table({ name: "groups" }),
});

/** Key of a partition: topic id, partition. */
export const partitionKey = (topicId: number, partition: number): Buffer => {
  const key = Buffer.allocUnsafe(8);
  key.writeUInt32BE(topicId, 0);
  key.writeUInt32BE(partition, 4);
  return key;
};

/** Key of a batch: topic id, partition, offset of its first record. */
export const batchKey = (topicId: number, partition: number, offset: bigint): Buffer => {
  const key = Buffer.allocUnsafe(16);
  key.writeUInt32BE(topicId, 0);
  key.writeUInt32BE(partition, 4);
  key.writeBigUInt64BE(offset, 8);
  return key;
};

/** What is known of a partition without looking at its batches. */
export interface PartitionState {
  readonly first: bigint;
  readonly end: bigint;
  /** Greatest timestamp ever appended, in ms since 1970; 0 before the first. */
  readonly greatestTimestampMs: number;
}

export const encodePartitionState = ({ first, end, greatestTimestampMs }: PartitionState): Buffer => {
  const bytes = Buffer.allocUnsafe(24);
  bytes.writeBigUInt64LE(first, 0);
  bytes.writeBigUInt64LE(end, 8);
  bytes.writeDoubleLE(greatestTimestampMs, 16);
  return bytes;
};

export const decodePartitionState = (bytes: Buffer): PartitionState => ({
  first: bytes.readBigUInt64LE(0),
  end: bytes.readBigUInt64LE(8),
  greatestTimestampMs: bytes.readDoubleLE(16),
});
