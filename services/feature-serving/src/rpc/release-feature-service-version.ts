import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { Unary } from "@millrace/grpc";
import { FeatureServiceVersionUnknownError } from "../catalogue.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { headWithout, viewsOf } from "../versions/next-head.ts";

/** Thrown when a version of a feature service is to be released that answers callers. */
export class VersionInForceError extends MillraceError {
  constructor(name: string, version: string, detail: string) {
    super(
      "FAILED_PRECONDITION",
      Reason.CONFLICT,
      `The version ${version} of the feature service ${name} ${detail}: it cannot be released.`,
      { resource: { kind: "feature service", name: `${name}@${version}` } },
    );
  }
}

/** Lets go of an older version of a feature service, whatever keeps it; rows that nothing else reads are dropped. */
export const releaseFeatureServiceVersion =
  ({
    catalogue,
    registry,
    streamThread,
    versionReads,
  }: FeatureServing): Unary<typeof FeatureService.method.releaseFeatureServiceVersion> =>
  async ({ name, version }) => {
    const id = `${name}@${version}`;
    for (;;) {
      await catalogue.refresh();
      const current = catalogue.definitions();
      if (current.head.answering[name] === version) {
        throw new VersionInForceError(name, version, "answers while the version in force fills");
      }
      if (current.repository.services.get(name)?.version === version) {
        throw new VersionInForceError(name, version, "is applied");
      }
      const kept = current.kept.get(id);
      if (kept === undefined) {
        const known = current.head.kept.filter(({ service }) => service === name).map((one) => one.version);
        throw new FeatureServiceVersionUnknownError(name, version, known);
      }
      const head = headWithout(current, new Set([id]));
      if (!(await registry.replace(current, head, []))) continue;
      await catalogue.refresh();
      await streamThread?.refresh();
      await versionReads.forget(id);
      const { liveViews } = catalogue.definitions();
      return { droppedViews: viewsOf(current, kept).filter((view) => !liveViews.has(view)) };
    }
  };
