import type { FeatureRepository } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import { type AppliedDefinitions, loadDefinitions } from "../applied-definitions.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { planChanges } from "../plan-changes.ts";

/** Says what Apply would do. */
export const plan =
  (serving: FeatureServing): Unary<typeof FeatureService.method.plan> =>
  async (request) => {
    const { changes, registryVersion } = await planAgainstRegistry(serving, request.repository);
    return { changes, registryVersion: BigInt(registryVersion) };
  };

/** Compiles a repository and compares it with what the registry holds. @throws DefinitionInvalidError, RowTooLargeError */
export async function planAgainstRegistry({ catalogue }: FeatureServing, declared: FeatureRepository | undefined) {
  if (declared === undefined) throw new TypeError("The contract requires a repository.");
  const next = loadDefinitions(declared);
  await catalogue.refresh();
  const before = catalogue.current;
  const changes = planChanges(beforeOf(before), { repository: declared, compiled: next.compiled });
  return { changes, next, before, registryVersion: before?.registryVersion ?? 0 };
}

function beforeOf(current: AppliedDefinitions | undefined) {
  const repository = current?.applied.repository;
  return current === undefined || repository === undefined ? undefined : { repository, compiled: current.repository };
}
