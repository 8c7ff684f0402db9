/** A record to append: at most 1,000,000 bytes of key, value and headers. It must stay unchanged until the append settles. */
export interface NewRecord {
  /** Records of one key keep their order, in one partition. Undefined: any partition. */
  readonly key?: Uint8Array;
  readonly value: Uint8Array | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** When the record came to be, in whole milliseconds since 1970. Default: now. Need not be in order. */
  readonly timestampMs?: number;
  /** Overrides the partition that the key would choose. */
  readonly partition?: number;
}

export interface LogRecord {
  readonly partition: number;
  readonly offset: bigint;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array | null;
  readonly headers: Readonly<Record<string, string>>;
  /** In milliseconds since 1970. */
  readonly timestampMs: number;
}

/** Records of one partition, in offset order. */
export interface RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly LogRecord[];
  /** The partition's end (the next offset to be written) when the batch was read: the lag is its distance. */
  readonly endOffset: bigint;
}

export interface LogPosition {
  readonly partition: number;
  /** The next offset: everything before it is meant. */
  readonly offset: bigint;
}

export interface TopicInfo {
  readonly name: string;
  readonly partitions: number;
  /** Names this life of the topic: a topic that was deleted and made anew has another epoch, and its offsets begin again. */
  readonly epoch: string;
}

/** What a group's member does with its partitions. Calls for one partition never overlap. */
export interface GroupHandler {
  /**
   * Called when the member gets partitions, before their first batch. Answers where to begin each; a partition left out
   * begins at the group's committed offset, else at the beginning. An offset outside of what is held (retention, or a log
   * that lost its tail) becomes the first that is held.
   */
  onAssigned?(topic: string, partitions: readonly number[]): Promise<readonly LogPosition[]>;
  /** Called when the member loses partitions. */
  onRevoked?(topic: string, partitions: readonly number[]): Promise<void>;
  /**
   * Called with each batch. The next batch of the partition comes when the promise resolves. A rejection stops the
   * consumer, and `Consumer.stopped` rejects with it; only a PartitionLostError ends no more than that partition. Must not
   * wait for `Consumer.close`, which waits for it.
   */
  onBatch(batch: RecordBatch, consumer: Consumer): Promise<void>;
}

/** A member of a consumer group. */
export interface Consumer {
  /**
   * Records that everything before the positions is done. The group begins there when a partition moves. Rejects with
   * PartitionLostError where another member has a partition by now.
   */
  commit(topic: string, positions: readonly LogPosition[]): Promise<void>;
  /** Goes on from another offset. Batches already handed over are finished first. */
  seek(topic: string, position: LogPosition): void;
  /** Resolves after close; rejects when the consumer stopped by itself. */
  readonly stopped: Promise<void>;
  /** Finishes the batch at hand, leaves the group. */
  close(): Promise<void>;
}

export interface ConsumeOptions {
  readonly topics: readonly string[];
  readonly group: string;
  readonly handler: GroupHandler;
  /** Most records in a batch. Default 1000. */
  readonly maxBatchRecords?: number;
  /** Longest wait for new records before the next look, in ms. Default 100. */
  readonly maxWaitMs?: number;
}

/**
 * A partitioned, append-only log: the port between millrace and its embedded log or Kafka. Within a partition order is
 * kept; delivery to a group is at least once, and offsets let a consumer make it exactly once. Rejects with
 * LogUnavailableError when the log does not answer, and with TopicUnknownError where a topic does not exist.
 */
export interface EventLog {
  /** Makes the topic unless it exists; answers it as it is. Never changes an existing topic's partitions. */
  ensureTopic(topic: string, partitions: number): Promise<TopicInfo>;
  topic(topic: string): Promise<TopicInfo>;
  deleteTopic(topic: string): Promise<void>;
  /**
   * Appends in order. Resolves when durable, with the place of each record. Rejects with RecordInvalidError before anything
   * is written; after a LogUnavailableError the records may be there all the same, in some of the partitions.
   */
  append(
    topic: string,
    records: readonly NewRecord[],
  ): Promise<{ readonly partition: number; readonly offset: bigint }[]>;
  /** The first offset still held, and the next to be written, by partition. */
  bounds(topic: string): Promise<{ readonly partition: number; readonly first: bigint; readonly end: bigint }[]>;
  /** The first offset whose record is not older than the time, by partition; the end where there is none. */
  offsetsAt(topic: string, timestampMs: number): Promise<LogPosition[]>;
  /**
   * Reads one partition outside of any group, from an offset up to its end as it was when the call was made. Rejects with
   * OffsetOutOfRangeError where the offset lies before the first that is held, or after the end.
   */
  read(topic: string, from: LogPosition, signal?: AbortSignal): AsyncIterable<RecordBatch>;
  consume(options: ConsumeOptions): Promise<Consumer>;
  /** What the group has committed, by partition; partitions without a commit are left out. */
  committed(topic: string, group: string): Promise<LogPosition[]>;
  close(): Promise<void>;
}
