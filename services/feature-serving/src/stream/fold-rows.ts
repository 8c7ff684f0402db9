import type { ConditionalWrite, Kv } from "@millrace/kv";
import type { RowEvents } from "./group-by-row.ts";

/** Thrown when the store's life changed under a writer: what it wrote before may be gone, so it must go back first. */
export class IncarnationChangedError extends Error {
  readonly incarnation: string;
  constructor(incarnation: string) {
    super("The online store began another life: its last writes may be gone.");
    this.name = "IncarnationChangedError";
    this.incarnation = incarnation;
  }
}

export interface FoldResult {
  readonly rowsWritten: number;
  /** Writes that were refused because another writer came first, and made again. */
  readonly refused: number;
}

/** How long a row outlives its longest window or ttl, in microseconds. */
const graceUs = 86_400_000_000;

/**
 * Folds events into their rows: reads the rows, folds, and writes each with a compare-and-set on the version that was
 * read. A refused row is read again and folded again; the row's replay guard drops what another writer already took.
 *
 * The incarnation is looked at after each reading and before the writing. A store that lost its last writes has another
 * one, so no event is ever folded onto a row whose earlier events were lost: that would make the guard skip them.
 * @param knownUpToUs a time up to which the history of these rows is complete: see ViewStream.fold.
 * @throws IncarnationChangedError, StoreUnavailableError
 */
export async function foldRows(
  online: Kv,
  incarnation: string,
  rows: Iterable<RowEvents>,
  knownUpToUs?: number,
): Promise<FoldResult> {
  let pending = [...rows];
  let rowsWritten = 0;
  let refused = 0;
  while (pending.length > 0) {
    const stored = await online.getManyVersioned(pending.map(({ key }) => key));
    const present = await online.incarnation();
    if (present !== incarnation) throw new IncarnationChangedError(present);
    const writes: ConditionalWrite[] = [];
    const written: RowEvents[] = [];
    pending.forEach((row, index) => {
      const value = row.stream.fold(stored[index]?.value, row.events, knownUpToUs);
      if (value === undefined) return;
      const expiresAtMs = expiryOf(row);
      writes.push({
        key: row.key,
        expectedVersion: stored[index]?.version ?? 0,
        value,
        ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
      });
      written.push(row);
    });
    const applied = writes.length === 0 ? [] : await online.compareAndSetMany(writes);
    pending = written.filter((_row, index) => applied[index] !== true);
    refused += pending.length;
    rowsWritten += written.length - pending.length;
  }
  return { rowsWritten, refused };
}

/**
 * When the row may go: when no value of it can be served any more, and a day later. Counted from now where the events
 * are older, since history that is loaded or replayed today is also asked for at its own time.
 */
function expiryOf({ stream, events }: RowEvents): number | undefined {
  const { view } = stream;
  const keptUs =
    view.kind === "aggregate"
      ? view.aggregates.reduce((longest, { windowUs, hopUs }) => Math.max(longest, Number(windowUs + hopUs)), 0)
      : view.ttlUs === undefined
        ? undefined
        : Number(view.ttlUs);
  if (keptUs === undefined) return undefined;
  let newestUs = Date.now() * 1000;
  for (const { eventTimeUs } of events) newestUs = Math.max(newestUs, eventTimeUs);
  return Math.ceil((newestUs + keptUs + graceUs) / 1000);
}
