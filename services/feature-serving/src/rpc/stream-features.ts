import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError } from "@millrace/errors";
import { type BidiStreaming, EncodedMessage, statusFromError } from "@millrace/grpc";
import { encodeStreamFeatures } from "../encode-features.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { featuresAnswer } from "./get-features.ts";

/** GetFeatures many times on one stream, in order. A request that fails is answered, and leaves the stream open. */
export const streamFeatures = (serving: FeatureServing): BidiStreaming<typeof FeatureService.method.streamFeatures> =>
  async function* (requests, call) {
    for await (const { id, request } of requests) {
      if (request === undefined) throw new TypeError("The contract requires a request.");
      try {
        yield new EncodedMessage(encodeStreamFeatures(id, await featuresAnswer(serving, request, call.signal)));
      } catch (error) {
        call.signal.throwIfAborted();
        const { code, details: message } = statusFromError(error, call.traceId);
        const reason = error instanceof MillraceError ? error.reasonName : "INTERNAL";
        yield { id, result: { case: "error", value: { code, message, reason } } };
      }
    }
  };
