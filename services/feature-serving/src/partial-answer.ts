import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { MillraceError } from "@millrace/errors";
import { ServedColumn } from "@millrace/feature-definition/stream";
import type { FeaturePlan, ValuePlace } from "./feature-plan.ts";
import type { ServedFeature } from "./read-features.ts";
import type { RowReader } from "./row-cache.ts";

/** Share of what is left of a deadline that the store may use, so that the answer still gets to the caller. */
const storeShare = 0.8;

/** The signal of a read that leaves time for an answer without it. */
export const readSignal = (signal: AbortSignal, deadlineMs: number | undefined): AbortSignal => {
  if (deadlineMs === undefined) return signal;
  const leftMs = Math.max(0, Math.floor((deadlineMs - Date.now()) * storeShare));
  return AbortSignal.any([signal, AbortSignal.timeout(Math.min(leftMs, 2 ** 31 - 1))]);
};

/** Whether the store did not answer, or not in time: what a partial answer goes without. */
export const isStoreAway = (error: unknown, read: AbortSignal): boolean =>
  read.aborted ||
  (error instanceof MillraceError && (error.code === "UNAVAILABLE" || error.code === "DEADLINE_EXCEEDED"));

/** A store that has nothing: what does not need it can still be computed. */
export const emptyStore: RowReader = { getMany: async (keys) => keys.map(() => undefined) };

/** Says of what the store should have given, and of what is computed from it, that it could not be read. */
export const withoutStore = (plan: FeaturePlan, features: readonly ServedFeature[]): ServedFeature[] => {
  const sent = new Set([...plan.entityKeys, ...plan.requestFields].map(({ name }) => name));
  // What is computed from the caller's columns alone needs no store.
  const needsStore = ({ onDemand, index, feature }: ValuePlace): boolean => {
    const computed = onDemand ? plan.onDemandViews[index]?.features[feature] : undefined;
    return computed === undefined || computed.expression.columns.some((name) => !sent.has(name));
  };
  return features.map((feature, output) => {
    const planned = plan.outputs[output];
    if (planned === undefined || !needsStore(planned.place)) return feature;
    const column = new ServedColumn(planned.type, feature.column.rows);
    column.statuses().fill(FeatureStatus.UNAVAILABLE);
    return { name: planned.name, column };
  });
};
