import type { EventLog } from "@millrace/event-log";
import type { CompiledEntity, CompiledSource, CompiledView } from "@millrace/feature-definition";
import {
  encodeEntityKey,
  rowKeyOf,
  type SchemaRegistry,
  SourceRecordReader,
} from "@millrace/feature-definition/stream";
import type { Kv } from "@millrace/kv";
import type { AppliedDefinitions } from "../applied-definitions.ts";

/** The view versions whose rows are kept and have the entity. */
export const liveViewsOf = ({ liveViews }: AppliedDefinitions, entity: string): CompiledView[] =>
  [...liveViews.values()].map(({ view }) => view).filter((view) => view.entity.name === entity);

/** The applied sources that views of the entity read, each with its views. */
export const sourcesOf = (
  { repository }: AppliedDefinitions,
  entity: string,
): { readonly source: CompiledSource; readonly views: readonly CompiledView[] }[] => {
  const views = [...repository.views.values()].filter((view) => view.entity.name === entity);
  return [...repository.sources.values()].flatMap((source) => {
    const own = views.filter((view) => view.source.name === source.name);
    return own.length === 0 ? [] : [{ source, views: own }];
  });
};

/** Deletes the rows of an entity. @returns how many there were. */
export const deleteRows = async (
  online: Kv,
  views: readonly CompiledView[],
  entityKey: Uint8Array,
): Promise<number> => {
  const keys = views.map((view) => rowKeyOf(view)(entityKey));
  let deleted = 0;
  for (let left = keys; left.length > 0; ) {
    const held = await online.getManyVersioned(left);
    const writes = left.flatMap((key, index) => {
      const entry = held[index];
      return entry === undefined ? [] : [{ key, expectedVersion: entry.version, value: undefined }];
    });
    const applied = await online.compareAndSetMany(writes);
    deleted += applied.filter((isApplied) => isApplied).length;
    left = writes.flatMap(({ key }, index) => (applied[index] === true ? [] : [key]));
  }
  return deleted;
};

/** Records of a topic that are facts of an entity: those known up to its erasure, and those after. */
export interface EntityRecords {
  readonly upTo: number;
  readonly after: number;
}

/** Reads a source's topic from its beginning to its present end. Nothing is read for a source without a stream. */
export const countRecords = async (
  log: EventLog,
  schemas: SchemaRegistry,
  { source, views }: { readonly source: CompiledSource; readonly views: readonly CompiledView[] },
  isErased: (entity: CompiledEntity, entityKey: Uint8Array) => boolean,
  erasedAtUs: number,
  signal: AbortSignal,
): Promise<EntityRecords> => {
  const counts = { upTo: 0, after: 0 };
  if (source.stream === undefined) return counts;
  const { topic } = source.stream;
  const reader = new SourceRecordReader(source);
  const keysOf = views.map((view) => ({
    entity: view.entity,
    columns: view.keyColumns.map((column) => source.columns.findIndex(({ name }) => name === column)),
  }));
  for (const { partition, first, end } of await log.bounds(topic)) {
    if (first >= end) continue;
    for await (const { records } of log.read(topic, { partition, offset: first }, signal)) {
      await reader.prepare(
        records.map(({ value }) => value),
        schemas,
      );
      for (const { value, timestampMs } of records) {
        const read = reader.read(value, timestampMs * 1000);
        if (read === undefined || "reason" in read) continue;
        const isOne = keysOf.some(({ entity, columns }) => {
          const key = encodeEntityKey(
            entity,
            columns.map((column) => read.row[column] ?? null),
          );
          return key !== undefined && isErased(entity, key);
        });
        if (!isOne) continue;
        if (read.createdAtUs <= erasedAtUs) counts.upTo++;
        else counts.after++;
      }
    }
  }
  return counts;
};
