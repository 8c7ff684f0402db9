import type { Kv } from "@millrace/kv";

/** Facts a second before any backfill was measured here: on the slow side of what LMDB takes. */
const firstEstimate = 20_000;

const key = new TextEncoder().encode("backfill/speed");

/** Facts a second, as earlier backfills into this store went, or a first estimate. */
export async function backfillSpeed(online: Kv): Promise<number> {
  const [held] = await online.getMany([key]);
  const measured = held === undefined ? Number.NaN : Number(new TextDecoder().decode(held));
  return measured > 0 ? measured : firstEstimate;
}

/** Takes how a backfill went into the estimate: half of what is known, half of this one. Small ones say too little. */
export async function recordBackfillSpeed(online: Kv, rows: number, seconds: number): Promise<void> {
  if (rows < 1000 || seconds <= 0) return;
  const [held] = await online.getManyVersioned([key]);
  const measured = rows / seconds;
  const known = held === undefined ? measured : Number(new TextDecoder().decode(held.value));
  const value = new TextEncoder().encode(String((known + measured) / 2));
  // Where another backfill wrote at the same moment, its word is as good.
  await online.compareAndSetMany([{ key, expectedVersion: held?.version ?? 0, value }]);
}
