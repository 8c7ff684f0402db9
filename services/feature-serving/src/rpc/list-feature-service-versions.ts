import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";

/** The versions of feature services that can be asked for, and what keeps the older ones. */
export const listFeatureServiceVersions =
  ({
    catalogue,
    versionReads,
    versionKeeper,
  }: FeatureServing): Unary<typeof FeatureService.method.listFeatureServiceVersions> =>
  async ({ name: wanted }) => {
    const current = catalogue.current;
    if (current === undefined) return { versions: [] };
    const lastReads = await versionReads.lastReads();
    const reasons = await versionKeeper.keptBy(current, 5_000);
    const { answering } = current.head;
    const known = [
      ...[...current.repository.services.values()].map(({ name, version }) => ({
        name,
        version,
        keptBy: answering[name] === undefined ? [] : ["applied: it fills, and then takes over"],
      })),
      ...[...current.kept.values()].map(({ service: name, version }) => ({
        name,
        version,
        keptBy: reasons.get(`${name}@${version}`) ?? [],
      })),
    ].filter(({ name }) => wanted === "" || name === wanted);
    return {
      versions: known.map(({ name, version, keptBy }) => {
        const lastReadMs = lastReads.get(`${name}@${version}`);
        const inForce = (answering[name] ?? current.repository.services.get(name)?.version) === version;
        return {
          name,
          version,
          inForce,
          keptBy,
          ...(lastReadMs === undefined ? {} : { lastReadAt: timestampFromMs(lastReadMs) }),
        };
      }),
    };
  };
