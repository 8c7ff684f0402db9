import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledSource } from "@millrace/feature-definition";
import type { Unary } from "@millrace/grpc";
import { SourceUnknownError } from "../catalogue.ts";
import type { FeatureServing } from "../feature-serving.ts";

/** Waits until everything before the given positions of a source's topic is served. */
export const awaitApplied =
  (serving: FeatureServing): Unary<typeof FeatureService.method.awaitApplied> =>
  async (request, call) => {
    const { catalogue, log, applied } = serving;
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
    return { applied: await applied.wait(topic, info.epoch, viewIdsOf(serving, source), targets, call.signal) };
  };

/** `view@version` of every online view of a source. */
export function viewIdsOf({ catalogue }: FeatureServing, source: CompiledSource): string[] {
  return [...catalogue.definitions().repository.views.values()]
    .filter((view) => view.online && view.source.name === source.name)
    .map(({ name, version }) => `${name}@${version}`);
}
