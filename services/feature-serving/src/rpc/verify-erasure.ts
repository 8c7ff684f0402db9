import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledView } from "@millrace/feature-definition";
import { countErasedFacts } from "@millrace/feature-definition/duckdb";
import { viewPrefix } from "@millrace/feature-definition/stream";
import type { Unary } from "@millrace/grpc";
import type { Kv } from "@millrace/kv";
import { countRecords, liveViewsOf, sourcesOf } from "../erasure/entity-places.ts";
import type { FeatureServing } from "../feature-serving.ts";

/** Looks at every row, record and file that could still show an erased entity. */
export const verifyErasure =
  (serving: FeatureServing): Unary<typeof FeatureService.method.verifyErasure> =>
  async ({ receiptId }, { signal }) => {
    const { catalogue, online, log, tombstones, receipts, schemas, batchData } = serving;
    const { entity, hash } = await receipts.read(receiptId);
    await tombstones.refresh();
    const definitions = catalogue.definitions();
    const erasedAtUs = tombstones.erasedAtUsOf(entity, hash);
    const found: string[] = [];
    const scanned: string[] = ["the tombstones"];
    if (erasedAtUs === undefined) found.push("the tombstone is gone: a replay would bring the entity back");
    const isErased = (key: Uint8Array): boolean => tombstones.isOf(hash, entity, key);
    const erased = {
      hasAny: (name: string) => name === entity,
      erasedAtUs: (_name: string, key: Uint8Array) =>
        isErased(key) ? (erasedAtUs ?? Number.MAX_SAFE_INTEGER) : undefined,
    };
    let hasNewerFacts = false;
    for (const { source, views } of sourcesOf(definitions, entity)) {
      if (source.stream !== undefined) {
        scanned.push(`the topic ${source.stream.topic}`);
        const one = (_entity: unknown, key: Uint8Array) => isErased(key);
        const counted = await countRecords(log, schemas, { source, views }, one, erasedAtUs ?? 0, signal);
        if (counted.upTo > 0) {
          found.push(
            `the topic ${source.stream.topic}: ${counted.upTo} records, hidden at every read until they expire`,
          );
        }
        hasNewerFacts ||= counted.after > 0;
      }
      if (source.batch === undefined) continue;
      scanned.push(`the batch data of the source ${source.name}`);
      // Views of one source may take the key from other columns: the most that any of them finds.
      const facts = await Promise.all(views.map((view) => countErasedFacts(view, batchData, erased)));
      const most = Math.max(0, ...facts);
      if (most > 0)
        found.push(`the batch data of the source ${source.name}: ${most} rows, hidden in every training set`);
    }
    for (const view of liveViewsOf(definitions, entity)) {
      scanned.push(`the online rows of the view ${view.name} ${view.version}`);
      const rows = await rowsOf(online, view, isErased);
      // A row that is there again may be made of facts that came after the erasure.
      if (rows > 0 && !hasNewerFacts) found.push(`the view ${view.name} ${view.version}: an online row`);
    }
    return { clean: found.length === 0, found, scanned };
  };

const rowsOf = async (
  online: Kv,
  view: CompiledView,
  isErased: (entityKey: Uint8Array) => boolean,
): Promise<number> => {
  const head = Buffer.concat([viewPrefix(view), Buffer.from(`{${view.entity.name}:`)]);
  let rows = 0;
  for await (const [key] of online.scan(head)) {
    if (isErased(key.subarray(head.length, key.length - 1))) rows++;
  }
  return rows;
};
