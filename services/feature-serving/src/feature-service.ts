import { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { implement, type ServiceImplementation } from "@millrace/grpc";
import type { FeatureServing } from "./feature-serving.ts";
import { apply } from "./rpc/apply.ts";
import { awaitApplied } from "./rpc/await-applied.ts";
import { deleteEntity } from "./rpc/delete-entity.ts";
import { getFeatureService } from "./rpc/get-feature-service.ts";
import { getFeatures } from "./rpc/get-features.ts";
import { getRepository } from "./rpc/get-repository.ts";
import { getSql } from "./rpc/get-sql.ts";
import { getTrainingSet } from "./rpc/get-training-set.ts";
import { listDeadLetters } from "./rpc/list-dead-letters.ts";
import { listFeatureServiceVersions } from "./rpc/list-feature-service-versions.ts";
import { listFeatureServices } from "./rpc/list-feature-services.ts";
import { listFeatureViews } from "./rpc/list-feature-views.ts";
import { materialize } from "./rpc/materialize.ts";
import { plan } from "./rpc/plan.ts";
import { push } from "./rpc/push.ts";
import { releaseFeatureServiceVersion } from "./rpc/release-feature-service-version.ts";
import { streamFeatures } from "./rpc/stream-features.ts";
import { verifyErasure } from "./rpc/verify-erasure.ts";
import { verifyFeatures } from "./rpc/verify-features.ts";

/** The calls of this service, one file each in `rpc/`. Those left out answer UNIMPLEMENTED. */
export function featureService(serving: FeatureServing): ServiceImplementation {
  return implement(FeatureService, {
    getFeatures: getFeatures(serving),
    streamFeatures: streamFeatures(serving),
    push: push(serving),
    awaitApplied: awaitApplied(serving),
    getSql: getSql(serving),
    getTrainingSet: getTrainingSet(serving),
    materialize: materialize(serving),
    listDeadLetters: listDeadLetters(serving),
    plan: plan(serving),
    apply: apply(serving),
    getRepository: getRepository(serving),
    listFeatureViews: listFeatureViews(serving),
    listFeatureServices: listFeatureServices(serving),
    getFeatureService: getFeatureService(serving),
    listFeatureServiceVersions: listFeatureServiceVersions(serving),
    releaseFeatureServiceVersion: releaseFeatureServiceVersion(serving),
    verifyFeatures: verifyFeatures(serving),
    deleteEntity: deleteEntity(serving),
    verifyErasure: verifyErasure(serving),
  });
}
