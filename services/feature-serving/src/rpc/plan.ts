import type { FeatureRepository } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import { type AppliedDefinitions, loadDefinitions } from "../applied-definitions.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { planChanges } from "../plan-changes.ts";
import { withBackfillEstimates } from "../versions/backfill-estimate.ts";
import { withDependents } from "../versions/dependents.ts";
import { headAfterApply } from "../versions/next-head.ts";

/** Says what Apply would do. */
export const plan =
  (serving: FeatureServing): Unary<typeof FeatureService.method.plan> =>
  async (request) => {
    const { changes, registryVersion } = await planAgainstRegistry(serving, request.repository);
    return { changes, registryVersion: BigInt(registryVersion) };
  };

/**
 * Compiles a repository, compares it with what the registry holds, and says what follows from it.
 * @throws DefinitionInvalidError, RowTooLargeError
 */
export async function planAgainstRegistry(serving: FeatureServing, declared: FeatureRepository | undefined) {
  if (declared === undefined) throw new TypeError("The contract requires a repository.");
  const { catalogue, online, batchData, nowUs } = serving;
  const next = loadDefinitions(declared);
  await catalogue.refresh();
  const before = catalogue.current;
  const compared = planChanges(beforeOf(before), { repository: declared, compiled: next.compiled });
  const { head } = headAfterApply(before, { ...next, revision: "", nowMs: nowUs() / 1000 });
  const { packages, problem } = compared.length === 0 ? { packages: [], problem: "" } : await packagesOf(serving);
  const dependent = withDependents(compared, { before, next, head, packages });
  for (const change of dependent) {
    if (problem !== "") change.detail = [change.detail, problem].filter(Boolean).join("; ");
  }
  const changes = await withBackfillEstimates(dependent, next, online, batchData);
  return { changes, next, before, registryVersion: before?.registryVersion ?? 0 };
}

/** A model store that does not answer makes no plan fail: the plan says that it knows of no packages. */
async function packagesOf({ packages }: FeatureServing) {
  try {
    return { packages: (await packages?.list()) ?? [], problem: "" };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { packages: [], problem: `packages that read it are not known: ${message}` };
  }
}

function beforeOf(current: AppliedDefinitions | undefined) {
  const repository = current?.applied.repository;
  return current === undefined || repository === undefined ? undefined : { repository, compiled: current.repository };
}
