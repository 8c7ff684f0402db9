import type { DuckDBDataChunk, DuckDBResult } from "@duckdb/node-api";
import type { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { type Data, Field, makeData, RecordBatch, Schema, Struct } from "apache-arrow";
import { arrowType, columnBuilder } from "./arrow-columns.ts";
import type { LoadedEntityRows } from "./entity-rows.ts";

const batchRows = 65_536;

/**
 * DuckDB's result as Arrow record batches of at most 65,536 rows, behind the columns of the entity rows where these were
 * given as Arrow. There is at least one batch, so that the schema is always told.
 */
export async function* recordBatches(
  result: DuckDBResult,
  columns: readonly { readonly name: string; readonly type: ValueType }[],
  entities: LoadedEntityRows,
): AsyncGenerator<RecordBatch> {
  const fields = columns.map(({ name, type }) => new Field(name, arrowType(type), true));
  const inputs = entities.kept.kind === "batches" ? sliced(entities.kept.batches) : undefined;
  const chunks = chunksOf(result);
  let pending = await chunks.next();
  let offset = 0;
  let sent = 0;
  let schema: Schema | undefined;
  while (sent < entities.rows || schema === undefined) {
    const input = inputs?.next();
    const wanted = input?.value?.numRows ?? Math.min(batchRows, entities.rows - sent);
    const builders = columns.map(({ type }) => columnBuilder(type, wanted));
    let filled = 0;
    while (filled < wanted && pending.done !== true) {
      const chunk = pending.value;
      const taken = Math.min(wanted - filled, chunk.rowCount - offset);
      builders.forEach((builder, index) => {
        builder.append(chunk.getColumnVector(index), offset, offset + taken);
      });
      filled += taken;
      offset += taken;
      if (offset === chunk.rowCount) {
        pending = await chunks.next();
        offset = 0;
      }
    }
    const children: Data[] = [...(input?.value?.data.children ?? []), ...builders.map((builder) => builder.finish())];
    schema ??= new Schema([...(input?.value?.schema.fields ?? []), ...fields]);
    yield new RecordBatch(
      schema,
      makeData({ type: new Struct(schema.fields), length: filled, nullCount: 0, children }),
    );
    sent += filled;
    if (filled < wanted) return;
  }
}

async function* chunksOf(result: DuckDBResult): AsyncGenerator<DuckDBDataChunk, undefined> {
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    yield chunk;
  }
  return undefined;
}

function* sliced(batches: readonly RecordBatch[]): Generator<RecordBatch, undefined> {
  for (const batch of batches) {
    if (batch.numRows === 0 && batches.length > 1) continue;
    for (let start = 0; start === 0 || start < batch.numRows; start += batchRows) {
      yield batch.slice(start, Math.min(start + batchRows, batch.numRows));
    }
  }
  return undefined;
}
