import { type Deployment, PayloadLog_Mode as Mode } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import type { PayloadPolicy } from "../prediction/payload-policy.ts";

/**
 * What a deployment says of its payload log; undefined where it has none.
 * @param field path of the deployment. @param violations is added to, for every rule that is broken.
 */
export const declaredPayloads = (
  { model, payloadLog }: Deployment,
  field: string,
  violations: FieldViolation[],
): PayloadPolicy | undefined => {
  if (payloadLog === undefined) return undefined;
  const { url, mode, sampling, inferenceServiceName, namespace, component, endpoint } = payloadLog;
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.username !== "" || parsed.password !== "") {
    const got = parsed === null ? "no URL" : `one of ${parsed.protocol}//${parsed.host}`;
    // What stands before the host is a secret, and is not repeated.
    violations.push({
      field: `${field}.payload_log.url`,
      expected: "a URL of http or https without user or password",
      got,
    });
  }
  return {
    url,
    mode: mode === Mode.REQUEST ? "REQUEST" : mode === Mode.RESPONSE ? "RESPONSE" : "ALL",
    sampling: sampling ?? 1,
    inferenceServiceName: inferenceServiceName || model,
    namespace,
    component: component || "predictor",
    endpoint: endpoint || "default",
  };
};
