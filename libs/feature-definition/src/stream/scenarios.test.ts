import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledView, Row, Scalar } from "../compiled.ts";
import { runScenarios } from "../scenario/run-scenarios.contract.ts";
import { createViewStream } from "./create-view-stream.ts";
import { encodeEntityKey } from "./entity-key.ts";
import { countsIn } from "./event-filter.ts";
import type { SourceEvent } from "./source-event.ts";
import { SourceRecordReader } from "./source-record.ts";
import { writeSourceRecord } from "./write-source-record.ts";

const statusNames = new Map<number, string>(Object.entries(FeatureStatus).map(([name, number]) => [number, name]));

/**
 * The stream path: records as they travel, events one by one, the bytes of the row. By event time the row has everything
 * that happened up to the time asked for, however late it came; as known then, what had come by that time.
 */
await runScenarios({
  name: "The stream",
  answer: async ({ view, events }, asks) => {
    const reader = new SourceRecordReader(view.source);
    const records = events.flatMap((row, offset): SourceEvent[] => {
      const read = reader.read(writeSourceRecord(view.source, row), 0);
      return read === undefined || "reason" in read ? [] : [{ ...read, partition: 0, offset, origin: 1 }];
    });
    const stream = createViewStream(view);
    return asks.map(({ keys, timeUs, asOf }) => {
      const t = Number(timeUs);
      const key = nameOf(view, keys);
      const come = records.filter(({ row, eventTimeUs, createdAtUs }) => {
        if (key === undefined || nameOf(view, keyOf(view, row)) !== key || !countsIn(view, row)) return false;
        return asOf === AsOf.KNOWN_AT ? createdAtUs <= t : eventTimeUs <= t;
      });
      let bytes: Uint8Array | undefined;
      for (const event of come) bytes = stream.fold(bytes, [event]) ?? bytes;
      const { values, statuses } = stream.serve(bytes, t, { nowUs: t, withExpiredValues: false });
      const status = statusNames.get(statuses[0] ?? 0);
      return { value: values[0] ?? null, ...(status === undefined ? {} : { status }) };
    });
  },
});

function keyOf(view: CompiledView, row: Row): Scalar[] {
  return view.keyColumns.map((column) => row[view.source.columns.findIndex(({ name }) => name === column)] ?? null);
}

function nameOf(view: CompiledView, keys: readonly Scalar[]): string | undefined {
  const bytes = encodeEntityKey(view.entity, keys);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("latin1");
}
