import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledView } from "@millrace/feature-definition";
import type { Unary } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { featureNames, servedField } from "../served-fields.ts";

/** All feature views that are applied, with the event time of the newest fact that the stream applied to them. */
export const listFeatureViews =
  (serving: FeatureServing): Unary<typeof FeatureService.method.listFeatureViews> =>
  async () => {
    const definitions = serving.catalogue.current;
    if (definitions === undefined) return { featureViews: [] };
    const views = [...definitions.repository.views.values()];
    const featureViews = views.map(async (view) => {
      const newestUs = await newestEvent(serving, view);
      return {
        name: view.name,
        version: view.version,
        entity: view.entity.name,
        source: view.source.name,
        owner: view.owner,
        features: featureNames(view).map((name) => servedField(definitions, view.name, name)),
        ...(newestUs === undefined ? {} : { newestEvent: timestampFromMs(newestUs / 1000) }),
      };
    });
    return { featureViews: await Promise.all(featureViews) };
  };

async function newestEvent({ log, progress }: FeatureServing, view: CompiledView): Promise<number | undefined> {
  const topic = view.source.stream?.topic;
  if (topic === undefined || !view.online) return undefined;
  const bounds = await log.bounds(topic);
  const held = await progress.read(
    topic,
    bounds.map(({ partition }) => partition),
  );
  const times = held.flatMap((entry) => entry?.newestEventUs[`${view.name}@${view.version}`] ?? []);
  return times.length === 0 ? undefined : Math.max(...times);
}
