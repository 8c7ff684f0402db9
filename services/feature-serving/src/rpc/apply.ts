import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type FeatureService,
  GetRepositoryResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import { prepareDefinitions } from "../catalogue.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { RegistryConflictError } from "../registry.ts";
import { planAgainstRegistry } from "./plan.ts";

/** Puts a feature repository in force. Answers when it is in force in this process and in its stream worker. */
export const apply =
  (serving: FeatureServing): Unary<typeof FeatureService.method.apply> =>
  async (request) => {
    const { registry, catalogue, streamThread, nowUs } = serving;
    const { changes, compiled, applied, registryVersion } = await planAgainstRegistry(serving, request.repository);
    const expected = Number(request.expectedRegistryVersion);
    if (expected !== 0 && expected !== registryVersion) throw new RegistryConflictError(expected, registryVersion);
    const { definitionsHash } = compiled;
    const isSame = applied !== undefined && changes.length === 0 && applied.revision === request.revision;
    let version = registryVersion;
    if (!isSame && request.repository !== undefined) {
      const next = create(GetRepositoryResponseSchema, {
        repository: request.repository,
        definitionsHash,
        revision: request.revision,
        appliedAt: timestampFromMs(nowUs() / 1000),
      });
      prepareDefinitions(next);
      version = await registry.write(next, registryVersion);
    }
    await catalogue.refresh();
    await streamThread?.refresh();
    return { changes, registryVersion: BigInt(version), definitionsHash };
  };
