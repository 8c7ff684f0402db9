import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { RegistryConflictError } from "../registry.ts";
import { applyDefinitions } from "../versions/apply-definitions.ts";
import { planAgainstRegistry } from "./plan.ts";

/** Puts a feature repository in force. Answers when it is in force in this process and in its stream worker. */
export const apply =
  (serving: FeatureServing): Unary<typeof FeatureService.method.apply> =>
  async (request) => {
    const { catalogue, streamThread, nowUs } = serving;
    const { changes, next, before, registryVersion } = await planAgainstRegistry(serving, request.repository);
    const expected = Number(request.expectedRegistryVersion);
    if (expected !== 0 && expected !== registryVersion) throw new RegistryConflictError(expected, registryVersion);
    const isSame = before !== undefined && changes.length === 0 && before.applied.revision === request.revision;
    const version = isSame
      ? registryVersion
      : await applyDefinitions(serving, before, { ...next, revision: request.revision, nowMs: nowUs() / 1000 });
    await catalogue.refresh();
    await streamThread?.refresh();
    return { changes, registryVersion: BigInt(version), definitionsHash: next.compiled.definitionsHash };
  };
