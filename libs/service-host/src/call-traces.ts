import type { CallContext, ObservedMethod, StatusName } from "@millrace/grpc";
import { type Attributes, ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { AlwaysOnSampler, BatchSpanProcessor, type IdGenerator, TracerProvider } from "@opentelemetry/sdk-trace";

/** Sends a span for each call of a recorded trace to an OpenTelemetry collector. */
export interface CallTraces {
  /** Whether a trace that begins here is recorded: a fixed share of trace ids, so that all services decide alike. */
  sample(traceId: string): boolean;
  handled(method: ObservedMethod, call: CallContext, code: StatusName | "OK", seconds: number): void;
  /** The same for a request over HTTP. @param route the path with its parts' names, as metrics have it. */
  handledHttp(method: string, route: string, call: CallContext, status: number, seconds: number): void;
  /** Sends what is left and closes. */
  close(): Promise<void>;
}

/**
 * Spans are made when a call has ended, with the ids that it had all along: a call whose trace is not recorded costs
 * one look at a flag.
 * @param endpoint OTLP over gRPC, such as `http://127.0.0.1:4317`. @param ratio from 0 to 1.
 */
export const callTraces = (service: string, endpoint: string, ratio: number): CallTraces => {
  const ids = new GivenIds();
  const exporter = new OTLPTraceExporter({ url: endpoint });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": service }),
    // The decision fell with the call's own flag.
    sampler: new AlwaysOnSampler(),
    idGenerator: ids,
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer("@millrace/service-host");
  const record = (
    name: string,
    attributes: Attributes,
    fault: string | undefined,
    call: CallContext,
    seconds: number,
  ): void => {
    const { traceId, spanId, parentSpanId, sampled } = call.trace;
    if (sampled !== true) {
      return;
    }
    const endTime = Date.now();
    const parent =
      parentSpanId === undefined
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, {
            traceId,
            spanId: parentSpanId,
            traceFlags: TraceFlags.SAMPLED,
            isRemote: true,
          });
    ids.next = { traceId, spanId };
    const span = tracer.startSpan(
      name,
      { kind: SpanKind.SERVER, startTime: endTime - seconds * 1000, attributes },
      parent,
    );
    if (fault !== undefined) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: fault });
    }
    span.end(endTime);
  };
  return {
    sample: (traceId) => Number.parseInt(traceId.slice(-8), 16) < ratio * 2 ** 32,
    handled: (method, call, code, seconds) => {
      if (call.trace.sampled !== true) {
        return;
      }
      const attributes = {
        "rpc.system": "grpc",
        "rpc.service": method.service,
        "rpc.method": method.name,
        "rpc.response.status_code": code,
      };
      record(`${method.service}/${method.name}`, attributes, serverFaults.has(code) ? code : undefined, call, seconds);
    },
    handledHttp: (method, route, call, status, seconds) => {
      const attributes = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
      };
      record(`${method} ${route}`, attributes, status >= 500 ? String(status) : undefined, call, seconds);
    },
    close: () => provider.shutdown(),
  };
};

/** The codes that OpenTelemetry's conventions count as an error of the server. */
const serverFaults: ReadonlySet<string> = new Set([
  "UNKNOWN",
  "DEADLINE_EXCEEDED",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
]);

/** Gives a span the ids that its call already has. */
class GivenIds implements IdGenerator {
  next = { traceId: "", spanId: "" };
  generateTraceId = (): string => this.next.traceId;
  generateSpanId = (): string => this.next.spanId;
}
