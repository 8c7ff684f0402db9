import type { CompiledSource } from "@millrace/feature-definition";
import type { DataLocation } from "@millrace/feature-definition/duckdb";
import type { Kv } from "@millrace/kv";
import type { LoadedDefinitions } from "../applied-definitions.ts";
import { backfillSpeed } from "../materialize/backfill-speed.ts";
import type { Change } from "../plan-changes.ts";

/** Says of each view that needs a backfill how many facts there are to read, and how long that would take. */
export async function withBackfillEstimates(
  changes: readonly Change[],
  { compiled }: LoadedDefinitions,
  online: Kv,
  batchData: DataLocation,
): Promise<Change[]> {
  if (!changes.some(({ needsBackfill }) => needsBackfill)) return [...changes];
  const speed = await backfillSpeed(online);
  const rowsOf = new Map<string, Promise<{ rows: number; problem: string }>>();
  return Promise.all(
    changes.map(async (change) => {
      const source = compiled.views.get(change.name ?? "")?.source;
      if (change.needsBackfill !== true || source === undefined) return change;
      const counting = rowsOf.get(source.name) ?? rowsOfSource(source, batchData);
      rowsOf.set(source.name, counting);
      const { rows, problem } = await counting;
      const detail = [change.detail, problem].filter(Boolean).join("; ");
      return { ...change, detail, backfillRows: BigInt(rows), backfillSeconds: rows / speed };
    }),
  );
}

/** Data that is not there yet makes no plan fail. */
async function rowsOfSource(
  source: CompiledSource,
  batchData: DataLocation,
): Promise<{ rows: number; problem: string }> {
  // Loaded when it is first needed: the engine behind it is large, and serving goes without.
  const { countBatchRows } = await import("@millrace/feature-definition/duckdb");
  try {
    return { rows: (await countBatchRows(source, batchData)) ?? 0, problem: "" };
  } catch (error) {
    return { rows: 0, problem: error instanceof Error ? error.message : String(error) };
  }
}
