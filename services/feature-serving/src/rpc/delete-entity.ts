import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledSource } from "@millrace/feature-definition";
import type { Unary } from "@millrace/grpc";
import { deadLetterTopic } from "../dead-letters/write-dead-letters.ts";
import { entityKeyOf, entityOf } from "../erasure/entity-key-of.ts";
import { countRecords, deleteRows, liveViewsOf, sourcesOf } from "../erasure/entity-places.ts";
import { untilObeyed } from "../erasure/until-obeyed.ts";
import type { FeatureServing } from "../feature-serving.ts";

/**
 * Erases an entity: a tombstone first, so that nothing brings it back, then its rows, once everything that writes rows
 * obeys the tombstone. May be called again.
 */
export const deleteEntity =
  (serving: FeatureServing): Unary<typeof FeatureService.method.deleteEntity> =>
  async (request, { signal }) => {
    const { catalogue, online, log, tombstones, receipts, rowCache, schemas, nowUs } = serving;
    const definitions = catalogue.definitions();
    const entity = entityOf(definitions.repository, request.entity);
    const entityKey = entityKeyOf(entity, request.keys);
    const erasedAtUs = nowUs();
    const { hash, version } = await tombstones.add(entity.name, entityKey, erasedAtUs);
    const views = liveViewsOf(definitions, entity.name);
    let onlineRows = await deleteRows(online, views, entityKey);
    await untilObeyed(serving, views, version, signal);
    onlineRows += await deleteRows(online, views, entityKey);
    // Once more, now that there are no rows: processes that cached one in between forget it.
    await tombstones.add(entity.name, entityKey, erasedAtUs);
    rowCache.clear();
    const sources = sourcesOf(definitions, entity.name);
    let logRecords = 0;
    for (const one of sources) {
      const isErased = (_entity: unknown, key: Uint8Array) => tombstones.isOf(hash, entity.name, key);
      logRecords += (await countRecords(log, schemas, one, isErased, erasedAtUs, signal)).upTo;
    }
    const outside = sources.flatMap(({ source }) => outsideOf(source));
    const receipt = {
      entity: entity.name,
      hash,
      erasedAtUs,
      requestedBy: request.requestedBy,
      onlineRows,
      logRecords,
      outside,
    };
    const receiptId = await receipts.write(receipt);
    const erasedAt = timestampFromMs(erasedAtUs / 1000);
    return { receiptId, onlineRows: BigInt(onlineRows), outside, erasedAt, logRecords: BigInt(logRecords) };
  };

/** What holds facts of a source and is not this service's to delete from. */
const outsideOf = ({ name, batch, stream }: CompiledSource): string[] => {
  const places: string[] = [];
  const { data } = batch ?? {};
  if (data?.case === "parquet" || data?.case === "csv") places.push(`the files ${data.value} of the source ${name}`);
  if (data?.case === "sql") places.push(`the table behind the query of the source ${name}`);
  if (stream !== undefined) {
    places.push(
      `the records of the topic ${stream.topic}, which go with its retention`,
      `the records in the topic ${deadLetterTopic(stream.topic)}, which go with its retention`,
    );
  }
  return places;
};
