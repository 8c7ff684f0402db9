import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledRepository, CompiledSource, CompiledView } from "@millrace/feature-definition";
import type { Unary } from "@millrace/grpc";
import { SourceUnknownError } from "../catalogue.ts";
import type { FeatureServing } from "../feature-serving.ts";

/** Waits until everything before the given positions of a source's topic is served. */
export const awaitApplied =
  (serving: FeatureServing): Unary<typeof FeatureService.method.awaitApplied> =>
  async (request, call) => {
    const { catalogue, log, applied, versionKeeper } = serving;
    const source = catalogue.source(request.source);
    const topic = source.stream?.topic;
    if (topic === undefined) {
      throw new SourceUnknownError(source.name, [], `Source ${source.name} has no stream: nothing of it is applied.`);
    }
    const info = await log.topic(topic);
    const targets =
      request.positions.length > 0
        ? request.positions
        : (await log.bounds(topic)).map(({ partition, end }) => ({ partition, offset: end }));
    const reached = await applied.wait(topic, info.epoch, viewIdsOf(serving, source), targets, call.signal);
    // What has caught up by now answers whoever asks next.
    await versionKeeper.settle();
    return { applied: reached };
  };

/** `view@version` of every online view of a source as it is applied. */
function viewIdsOf({ catalogue }: FeatureServing, source: CompiledSource): string[] {
  return idsOver(catalogue.definitions().repository, source);
}

/**
 * The same of the versions that answer: while a view fills, that of the version before, unless that one reads another
 * topic and will never have what is appended to this one.
 */
export function answeringViewIds({ catalogue }: FeatureServing, source: CompiledSource): string[] {
  const { repository, answering } = catalogue.definitions();
  const views = [...repository.views].map(([name, view]): [string, CompiledView] => {
    const before = answering.views.get(name);
    return [name, before?.source.stream?.topic === source.stream?.topic ? (before ?? view) : view];
  });
  return idsOver({ views: new Map(views) }, source);
}

function idsOver({ views }: Pick<CompiledRepository, "views">, source: CompiledSource): string[] {
  return [...views.values()]
    .filter((view) => view.online && view.source.name === source.name)
    .map(({ name, version }) => `${name}@${version}`);
}
