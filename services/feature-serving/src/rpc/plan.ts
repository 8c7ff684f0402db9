import type { FeatureRepository } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { compileRepository } from "@millrace/feature-definition";
import type { Unary } from "@millrace/grpc";
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
export async function planAgainstRegistry({ registry }: FeatureServing, repository: FeatureRepository | undefined) {
  if (repository === undefined) throw new TypeError("The contract requires a repository.");
  const compiled = compileRepository(repository);
  const applied = await registry.read();
  const before =
    applied?.repository === undefined
      ? undefined
      : { repository: applied.repository, compiled: compileRepository(applied.repository) };
  const changes = planChanges(before, { repository, compiled });
  return { changes, compiled, applied, registryVersion: Number(applied?.registryVersion ?? 0n) };
}
