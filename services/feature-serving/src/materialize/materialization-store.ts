import type { Kv } from "@millrace/kv";

/** One loading of history into a view. */
export interface MaterializationRun {
  /** Names the range and the files: the origin of the run's rows in the replay guards. */
  readonly id: string;
  readonly fromUs: number | null;
  readonly toUs: number | null;
  readonly snapshot: string;
  /** The store's life when it was last written to: in another life everything is folded again. */
  readonly incarnation: string;
  /** Rows of the batch data before this ordinal are in the store. */
  readonly nextOrdinal: number;
  readonly rows: number;
  readonly totalRows: number;
  readonly keys: number;
  /** The version of the tombstones that it obeyed when it last wrote. */
  readonly erasures?: number;
  readonly done: boolean;
}

/** What was loaded into a view version, and where its stream takes over. */
export interface Materialization {
  /**
   * History counts facts that became known before this time, the stream those from it on; microseconds. Once it is set
   * it never changes, so nothing is counted twice.
   */
  readonly cutUs: number;
  readonly runs: readonly MaterializationRun[];
}

export interface StoredMaterialization {
  readonly materialization: Materialization | undefined;
  readonly version: number;
}

const utf8 = new TextEncoder();
const text = new TextDecoder();

function keyOf(viewId: string): Uint8Array {
  return utf8.encode(`materialization/${viewId}`);
}

/** Reads what was materialized into views, by `view@version`, in order. */
export async function readMaterializations(online: Kv, viewIds: readonly string[]): Promise<StoredMaterialization[]> {
  const entries = await online.getManyVersioned(viewIds.map(keyOf));
  return entries.map((entry) => {
    if (entry === undefined) return { materialization: undefined, version: 0 };
    const materialization: Materialization = JSON.parse(text.decode(entry.value));
    return { materialization, version: entry.version };
  });
}

/** Changes what is known of a view, by compare-and-set; the change is made again on what another writer left. */
export async function updateMaterialization(
  online: Kv,
  viewId: string,
  change: (held: Materialization | undefined) => Materialization,
): Promise<Materialization> {
  for (;;) {
    const [held = { materialization: undefined, version: 0 }] = await readMaterializations(online, [viewId]);
    const next = change(held.materialization);
    const write = { key: keyOf(viewId), expectedVersion: held.version, value: utf8.encode(JSON.stringify(next)) };
    const [isApplied] = await online.compareAndSetMany([write]);
    if (isApplied === true) return next;
  }
}

/** Forgets what was materialized into a view version, once its rows are gone. */
export async function forgetMaterialization(online: Kv, viewId: string): Promise<void> {
  const [held = { materialization: undefined, version: 0 }] = await readMaterializations(online, [viewId]);
  if (held.version === 0) return;
  await online.compareAndSetMany([{ key: keyOf(viewId), expectedVersion: held.version, value: undefined }]);
}
