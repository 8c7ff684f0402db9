import { randomFillSync } from "node:crypto";

/**
 * One call's place in a distributed trace, as the W3C Trace Context header `traceparent` carries it.
 *
 * `traceId` is 32 and `spanId` 16 lower-case hex digits; `parentSpanId` is the caller's span, where there is one.
 */
export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  /** Whether the caller asks for this trace to be recorded. Undefined where nobody decided yet. */
  readonly sampled: boolean | undefined;
}

const header = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const zeroTraceId = "0".repeat(32);
const zeroSpanId = "0".repeat(16);

/** Continues the trace of a `traceparent` header with a new span, or starts a new trace where the header is absent or malformed. */
export const continueTrace = (traceparent: string | undefined): TraceContext => {
  const parts = traceparent === undefined ? null : header.exec(traceparent);
  if (parts !== null) {
    const [, version, traceId, parentSpanId, flags, rest] = parts;
    const known = version !== "ff" && (version !== "00" || rest === undefined);
    if (known && traceId !== undefined && parentSpanId !== undefined && flags !== undefined) {
      if (traceId !== zeroTraceId && parentSpanId !== zeroSpanId) {
        return { traceId, spanId: randomHex(8), parentSpanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
      }
    }
  }
  return { traceId: randomHex(16), spanId: randomHex(8), parentSpanId: undefined, sampled: undefined };
};

/** The `traceparent` header that hands this span on to a callee. */
export const traceparentOf = (trace: TraceContext): string =>
  `00-${trace.traceId}-${trace.spanId}-${trace.sampled === true ? "01" : "00"}`;

// One system call fills ids for hundreds of calls.
const pool = Buffer.alloc(4096);
let used = pool.length;

const randomHex = (bytes: number): string => {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const hex = pool.toString("hex", used, used + bytes);
  used += bytes;
  // An all-zero id is invalid; drawing one again costs nothing.
  return /^0+$/.test(hex) ? randomHex(bytes) : hex;
};
