import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type FeatureService, FeatureViewStatus_State } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledView } from "@millrace/feature-definition";
import type { Unary } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { viewIdOf } from "../registry-head.ts";
import { featureNames, servedField } from "../served-fields.ts";
import { streamLags } from "../versions/filled-views.ts";

/** All versions of feature views whose rows are kept, with how far the stream has come in each. */
export const listFeatureViews =
  (serving: FeatureServing): Unary<typeof FeatureService.method.listFeatureViews> =>
  async () => {
    const definitions = serving.catalogue.current;
    if (definitions === undefined) return { featureViews: [] };
    const featureViews = [...definitions.liveViews.values()].map(async ({ view, loaded, state }) => {
      const newestUs = await newestEvent(serving, view);
      return {
        name: view.name,
        version: view.version,
        entity: view.entity.name,
        source: view.source.name,
        owner: view.owner,
        features: featureNames(view).map((name) => servedField(loaded, view.name, name)),
        state: FeatureViewStatus_State[state],
        lagRecords: await lagRecords(serving, view),
        ...(newestUs === undefined ? {} : { newestEvent: timestampFromMs(newestUs / 1000) }),
      };
    });
    return { featureViews: await Promise.all(featureViews) };
  };

async function lagRecords(serving: FeatureServing, view: CompiledView): Promise<bigint> {
  const topic = view.source.stream?.topic;
  if (topic === undefined || !view.online) return 0n;
  const lags = (await streamLags(topic, serving, [viewIdOf(view)])) ?? [];
  return BigInt(lags.flat().reduce((sum, lag) => sum + lag, 0));
}

async function newestEvent({ log, progress }: FeatureServing, view: CompiledView): Promise<number | undefined> {
  const topic = view.source.stream?.topic;
  if (topic === undefined || !view.online) return undefined;
  const bounds = await log.bounds(topic);
  const held = await progress.read(
    topic,
    bounds.map(({ partition }) => partition),
  );
  const times = held.flatMap((entry) => entry?.newestEventUs[viewIdOf(view)] ?? []);
  return times.length === 0 ? undefined : Math.max(...times);
}
