import { fromBinary } from "@bufbuild/protobuf";
import { LabelSchema, PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import type { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { JoinEntrySchema } from "@millrace/contracts/millrace/monitoring/v1/state";
import type { EventLog } from "@millrace/event-log";
import type { Unary } from "@millrace/grpc";
import type { MonitoringRooms } from "../monitoring-rooms.ts";
import { MonitorUnknownError } from "../monitors/monitor-unknown-error.ts";
import { joinKey } from "../state-keys.ts";

/**
 * Everything that is known about one prediction. What is kept of a counted prediction says where it stands in its topic;
 * the event itself is read from there. Ids whose time to live is over, whose record the log has let go, or that are not
 * in the sample are not found.
 */
export const getPrediction =
  ({
    kv,
    log,
    counting,
    predictionTopic,
    labelTopic,
  }: MonitoringRooms): Unary<typeof MonitoringService.method.getPrediction> =>
  async ({ id }, call) => {
    const keys = Array.from({ length: counting.partitions }, (_, partition) => joinKey(partition, id));
    const entries = await kv.getMany(keys, call.signal);
    for (const [partition, value] of entries.entries()) {
      if (value === undefined) continue;
      const entry = fromBinary(JoinEntrySchema, value);
      if (!entry.counted) continue;
      const record = await recordAt(log, predictionTopic, partition, entry.predictionOffset, call.signal);
      if (record === undefined) break;
      const prediction = fromBinary(PredictionSchema, record);
      if (entry.label === undefined) return { prediction };
      const label = await recordAt(log, labelTopic, partition, entry.labelOffset, call.signal);
      return label === undefined ? { prediction } : { prediction, label: fromBinary(LabelSchema, label) };
    }
    throw new MonitorUnknownError("prediction", id);
  };

const recordAt = async (
  log: EventLog,
  topic: string,
  partition: number,
  offset: bigint,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> => {
  const bounds = await log.bounds(topic);
  const held = bounds.find((each) => each.partition === partition);
  if (held === undefined || offset < held.first || offset >= held.end) return undefined;
  for await (const batch of log.read(topic, { partition, offset }, signal)) {
    const [record] = batch.records;
    return record?.offset === offset ? (record.value ?? undefined) : undefined;
  }
  return undefined;
};
