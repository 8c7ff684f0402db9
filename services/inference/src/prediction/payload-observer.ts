import { randomUUID } from "node:crypto";
import type { Tensor } from "@millrace/tensor";
import type { RawBody } from "../protocol/raw-exchange.ts";
import type { ObservedRun, RunObserver } from "../serving/inference-path.ts";
import type { PayloadEvent, PayloadLog } from "./payload-log.ts";
import type { PayloadPolicy } from "./payload-policy.ts";
import { projectedPayload } from "./payload-projection.ts";

type Kind = "request" | "response";

/**
 * Logs the payloads of calls as KServe's logger does: a CloudEvent in HTTP's binary mode for the request and one for the
 * response, with the same id (the caller's `Ce-Id`, else a new one) and source. A call over HTTP is logged with its
 * untouched bodies. One over gRPC is logged as its tensors in the protocol's JSON form, the response with all outputs of
 * the model. A call that fails has a request event only.
 */
export class PayloadObserver implements RunObserver {
  readonly #log: PayloadLog;

  constructor(log: PayloadLog) {
    this.#log = log;
  }

  begin(run: ObservedRun): ((outputs: readonly Tensor[]) => void) | undefined {
    const policy = run.served.policy.payloads;
    if (policy === undefined || (policy.sampling < 1 && Math.random() >= policy.sampling)) return undefined;
    const { exchange } = run;
    const id = run.caller.header?.("ce-id") || randomUUID();
    const offer = (kind: Kind, body: RawBody) => this.#log.offer(rawEvent(policy, run, id, kind, body));
    if (policy.mode !== "RESPONSE") {
      if (exchange === undefined) this.#log.offer(projectedEvent(policy, run, id, "request", run.inputs));
      else offer("request", exchange.request);
    }
    if (policy.mode === "REQUEST") return undefined;
    if (exchange !== undefined) {
      exchange.onAnswer((body) => offer("response", body));
      return undefined;
    }
    return (outputs) => {
      // The views are void when this returns.
      const kept = outputs.map((output) => ({ ...output, data: Buffer.from(output.data) }));
      this.#log.offer(projectedEvent(policy, run, id, "response", kept));
    };
  }
}

const rawEvent = (
  policy: PayloadPolicy,
  { served }: ObservedRun,
  id: string,
  kind: Kind,
  { bytes, contentType, jsonBytes }: RawBody,
): PayloadEvent => ({
  url: policy.url,
  headers: {
    ...attributes(policy, served.name, id, kind, contentType),
    // Without it whoever reads the body could not tell its JSON from the tensors behind it.
    ...(jsonBytes === undefined ? {} : { "inference-header-content-length": jsonBytes }),
  },
  heldBytes: bytes.byteLength,
  body: () => bytes,
});

const projectedEvent = (
  policy: PayloadPolicy,
  { served, id: requestId }: ObservedRun,
  id: string,
  kind: Kind,
  tensors: readonly Tensor[],
): PayloadEvent => ({
  url: policy.url,
  headers: attributes(policy, served.name, id, kind, "application/json"),
  heldBytes: tensors.reduce((bytes, { data }) => bytes + data.byteLength, 0),
  body: () =>
    projectedPayload(
      kind === "request" ? "inputs" : "outputs",
      { model: served.name, version: served.version, id: requestId },
      tensors,
    ),
});

/** The attributes of an event as headers of HTTP's binary mode. */
const attributes = (
  { inferenceServiceName, namespace, component, endpoint }: PayloadPolicy,
  model: string,
  id: string,
  kind: Kind,
  contentType: string,
): Record<string, string> => {
  const given = {
    specversion: "1.0",
    source: `/millrace/inference/${model}`,
    type: `org.kubeflow.serving.inference.${kind}`,
    time: new Date().toISOString(),
    inferenceservicename: inferenceServiceName,
    namespace,
    component,
    endpoint,
  };
  // A caller's `Ce-Id` is a header already: as it came it is encoded.
  const headers: Record<string, string> = { "content-type": contentType, "ce-id": id };
  for (const [name, value] of Object.entries(given)) {
    // An attribute is never empty.
    if (value !== "") headers[`ce-${name}`] = headerValue(value);
  }
  return headers;
};

/** The HTTP binding's percent-encoding: of what is not printable ASCII, of spaces, quotes and percent signs. */
const headerValue = (value: string): string =>
  value.replace(/[^!#-$&-~]+/gu, (text) =>
    Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
