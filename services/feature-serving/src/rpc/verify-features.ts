import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { ServerStreaming } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";

/** Compares what is served with what the offline engine computes. */
export const verifyFeatures = (serving: FeatureServing): ServerStreaming<typeof FeatureService.method.verifyFeatures> =>
  async function* (request, call) {
    // Loaded when it is first needed: serving goes without Arrow.
    const { verifyFeatures: verify } = await import("../verification/verify-features.ts");
    yield* verify(serving, request, call.signal);
  };
